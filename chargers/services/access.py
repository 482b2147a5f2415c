"""Access control of REST: tokens, Django's permissions, the chargers a user may reach, and rate limits."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from knox.auth import TokenAuthentication
from rest_framework import exceptions, permissions
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from chargers.models import ApiToken, Charger, ChargerGroup, Site
from core.http import parameters
from core.redis import throttling

if TYPE_CHECKING:  # the settings of DRF name classes of this module
    from rest_framework.views import APIView

REACH_EVERY_CHARGER = "chargers.reach_every_charger"
VERBS = {"GET": "view", "HEAD": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
LAST_USED_PRECISION = timedelta(hours=1)  # of a token, so that not every request writes


class Tokens(TokenAuthentication):
    """Authenticate by `Authorization: Token …`, an `ApiToken`. Expired tokens are not deleted, but stay listed."""

    def authenticate_credentials(self, token: bytes) -> Any:
        try:
            return super().authenticate_credentials(token)
        except UnicodeDecodeError as error:
            raise exceptions.AuthenticationFailed("Invalid token.") from error

    def _cleanup_token(self, token: ApiToken) -> bool:
        return token.expiry is not None and token.expiry < datetime.now(UTC)

    def validate_user(self, token: ApiToken) -> Any:
        now = datetime.now(UTC)
        if token.last_used is None or token.last_used < now - LAST_USED_PRECISION:
            ApiToken.objects.filter(pk=token.pk).update(last_used=now)
        return super().validate_user(token)


# --- permissions -----------------------------------------------------------------------------


class Permitted(permissions.BasePermission):
    """Require the permission that `needed` names for the method, or without it Django's own of the view's model.

    Every view of the API has this class or a subclass. So it also refuses unknown parameters, and raises 404 for a
    charger in the path that the user may not reach, before the body is read.
    """

    needed = None
    takes_any_parameter = False

    def has_permission(self, request: Request, view: "APIView") -> bool:
        allowed = self._allows(request, view)
        if allowed and request.method != "OPTIONS" and not self.takes_any_parameter:
            parameters.refuse_unknown(request, view)  # first, so that the answer does not depend on the charger
        if allowed and "charger_id" in view.kwargs:
            known_charger(request, view.kwargs["charger_id"])
        return allowed

    def _allows(self, request: Request, view: "APIView") -> bool:
        if settings.API_AUTH == "none":
            return is_from_here(request)
        if not (request.user and request.user.is_authenticated):
            return False
        return request.method == "OPTIONS" or request.user.has_perms(self._needed(request.method, view))

    def _needed(self, method: Any, view: Any) -> list[str]:
        if method not in VERBS:
            raise exceptions.MethodNotAllowed(method)
        if self.needed is None:
            model = view.queryset.model._meta
            return [f"{model.app_label}.{VERBS[method]}_{model.model_name}"]
        if method not in self.needed:
            raise exceptions.MethodNotAllowed(method)
        return [self.needed[method]]


class LoggedIn(Permitted):
    """Allow every user who has logged in. For the pages of libraries that describe the API, which have parameters."""

    takes_any_parameter = True

    def _needed(self, method: Any, view: Any) -> list[str]:
        return []


def needs(**needed: str) -> type[Permitted]:
    """Return a permission class, as in `needs(POST="commands.add_command")`."""
    return type("Needs", (Permitted,), {"needed": needed | ({"HEAD": needed["GET"]} if "GET" in needed else {})})


class ReachesAll(permissions.BasePermission):
    """Allow only users who may reach every charger. For resources that belong to no single charger."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return reaches_every_charger(request.user)


def is_from_here(request: HttpRequest) -> bool:
    """Whether no page of another site sent `request`; an API without a login must not be open to such pages."""
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    host = request.get_host()
    return not foreign and origin in (None, f"http://{host}", f"https://{host}")


# --- the chargers a user may reach -----------------------------------------------------------


def has_login() -> bool:
    """Whether the API requires a login."""
    return settings.API_AUTH != "none"


def reaches_every_charger(user: Any) -> bool:
    """Whether `user` has the permission to reach every charger; with API_AUTH=none an anonymous user has it, too."""
    open_to_all = settings.API_AUTH == "none" and not (user and user.is_authenticated)
    return open_to_all or user.has_perm(REACH_EVERY_CHARGER)


def username(user: Any) -> str:
    """The name of `user`, "" without a login."""
    return user.get_username() if user else ""


def within(user: Any, rows: QuerySet, path: str = "charger") -> QuerySet:
    """Filter the queryset `rows` to chargers that `user` may reach; `path` leads from a row to its charger."""
    if reaches_every_charger(user):
        return rows
    return rows.filter(**{f"{path}__in": _chargers_of(user)})


def _chargers_of(user: Any) -> QuerySet[Any]:
    """Return a subquery of the primary keys of the chargers at the sites and in the groups of `user`."""
    in_groups = ChargerGroup.chargers.through.objects.filter(chargergroup__in=ChargerGroup.of(user)).values("charger")
    return Charger.objects.filter(site__in=Site.of(user)).order_by().values("pk").union(in_groups)


def sites(user: Any) -> QuerySet[Site]:
    """Return the sites that `user` may see: those that name the user, or all if the user reaches every charger."""
    return Site.objects.all() if reaches_every_charger(user) else Site.of(user)


def own(user: Any, rows: QuerySet) -> QuerySet:
    """Filter `rows` to those that `user` submitted; a user who may reach every charger sees all.

    For batches and schedules, which may concern chargers of many groups.
    """
    return rows if reaches_every_charger(user) else rows.filter(requested_by=username(user))


def reachable(user: Any) -> set[int] | None:
    """Return the primary keys of the chargers that `user` may reach, None for all; close the database connection."""
    try:
        if reaches_every_charger(user):
            return None
        return set(within(user, Charger.objects.all(), "pk").values_list("pk", flat=True))
    finally:
        connection.close()


def reaches(user: Any, charger: Charger) -> bool:
    """Whether `user` may reach `charger`."""
    return reaches_every_charger(user) or within(user, Charger.objects.filter(pk=charger.pk), "pk").exists()


def known_charger(request: Request, charger_id: str) -> Charger:
    """Return the `Charger`, cached for this request; raise 404 if it is unknown or the user may not reach it."""
    cached = request.parser_context.setdefault("known_chargers", {})
    if charger_id not in cached:
        charger = Charger.known(charger_id)
        if charger is None or not reaches(request.user, charger):
            raise exceptions.NotFound("Charger not found")
        cached[charger_id] = charger
    return cached[charger_id]


def check_reach(request: Request) -> None:
    """Raise 404 if the body of `request` names a `charger_id` that the user may not reach, before it is validated."""
    charger_id = request.data.get("charger_id") if isinstance(request.data, Mapping) else None
    if isinstance(charger_id, str):
        known_charger(request, charger_id)


# --- rate limits -----------------------------------------------------------------------------


def count_command(user: Any) -> int:
    """Count a command of `user` in this minute. Return 0, or above API_COMMANDS_PER_MINUTE the seconds to wait."""
    limit = settings.API_COMMANDS_PER_MINUTE
    return throttling.seconds_to_wait(f"commands:{user.pk}", limit) if limit and user.is_authenticated else 0


class CommandsPerUser(BaseThrottle):
    """Throttle requests that submit a command or a schedule, see `count_command`."""

    wait_s = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        self.wait_s = count_command(request.user) if request.method in ("POST", "PUT") else 0
        return not self.wait_s

    def wait(self) -> int:
        return self.wait_s
