"""Who may do what over REST: tokens, Django's permissions, the chargers a user may reach, and how often."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from knox.auth import TokenAuthentication
from rest_framework import exceptions, permissions

from chargers import parameters, throttling
from chargers.models import ApiToken, Charger, ChargerGroup

EVERY = "chargers.reach_every_charger"
VERBS = {"GET": "view", "HEAD": "view", "POST": "add", "PUT": "change", "PATCH": "change", "DELETE": "delete"}
USED = timedelta(hours=1)  # after which the use of a token is noted again


class Tokens(TokenAuthentication):
    """`Authorization: Token …`, one of the user's `ApiToken`s. One that has expired stays in the list of them."""

    def authenticate_credentials(self, token):
        try:
            return super().authenticate_credentials(token)
        except UnicodeDecodeError as error:
            raise exceptions.AuthenticationFailed("Invalid token.") from error

    def _cleanup_token(self, token):
        return token.expiry is not None and token.expiry < datetime.now(UTC)

    def validate_user(self, token):
        now = datetime.now(UTC)
        if token.last_used is None or token.last_used < now - USED:
            ApiToken.objects.filter(pk=token.pk).update(last_used=now)
        return super().validate_user(token)


# --- permissions -----------------------------------------------------------------------------


class Permitted(permissions.BasePermission):
    """For those with the permissions that `needed` names by method; else with Django's own of the view's model.

    Every view of the API has this class or one made from it. So unknown parameters are refused here, and a charger in
    the path that is out of reach is 404 here, before its content and the body are looked at.
    """

    needed = None
    takes_any_parameter = False

    def has_permission(self, request, view):
        allowed = self._allows(request, view)
        if allowed and request.method != "OPTIONS" and not self.takes_any_parameter:
            parameters.refuse_unknown(request, view)  # for every charger alike, also one that does not exist
        if allowed and "charger_id" in view.kwargs:
            known_charger(request, view.kwargs["charger_id"])
        return allowed

    def _allows(self, request, view):
        if settings.API_AUTH == "none":
            return is_from_here(request)
        if not (request.user and request.user.is_authenticated):
            return False
        return request.method == "OPTIONS" or request.user.has_perms(self._needed(request.method, view))

    def _needed(self, method, view):
        if method not in VERBS:
            raise exceptions.MethodNotAllowed(method)
        if self.needed is None:
            model = view.queryset.model._meta
            return [f"{model.app_label}.{VERBS[method]}_{model.model_name}"]
        if method not in self.needed:
            raise exceptions.MethodNotAllowed(method)
        return [self.needed[method]]


class Known(Permitted):
    """For everyone who has logged in: the pages that describe the API, which are not ours and have parameters."""

    takes_any_parameter = True

    def _needed(self, method, view):
        return []


def needs(**needed):
    """A permission class: `needs(POST="commands.add_command")`."""
    return type("Needs", (Permitted,), {"needed": needed | ({"HEAD": needed["GET"]} if "GET" in needed else {})})


class ReachesAll(permissions.BasePermission):
    """For those alone who may reach every charger: what is not of one charger."""

    def has_permission(self, request, view):
        return reaches_every_charger(request.user)


def is_from_here(request):
    """Whether no page of another site sent `request`: an API without a login is for programs of this machine."""
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    return not foreign and (origin is None or urlsplit(origin).netloc == request.get_host())


# --- the chargers a user may reach -----------------------------------------------------------


def has_login():
    """Whether the API asks who somebody is."""
    return settings.API_AUTH != "none"


def reaches_every_charger(user):
    """With an API without a login everybody does; else those with the permission."""
    open_to_all = settings.API_AUTH == "none" and not (user and user.is_authenticated)
    return open_to_all or user.has_perm(EVERY)


def within(user, rows, path="charger"):
    """Those of the queryset `rows` whose charger, to be found at `path`, `user` may reach."""
    if reaches_every_charger(user):
        return rows
    return rows.filter(**{f"{path}__in": ChargerGroup.chargers_of(user)})


def reachable(user):
    """The primary keys of the chargers that `user` may reach, None for all; leaves no connection behind."""
    try:
        if reaches_every_charger(user):
            return None
        return set(within(user, Charger.objects.all(), "pk").values_list("pk", flat=True))
    finally:
        connection.close()


def reaches(user, charger):
    """Whether `user` may reach `charger`."""
    return reaches_every_charger(user) or within(user, Charger.objects.filter(pk=charger.pk), "pk").exists()


def known_charger(request, charger_id):
    """The `Charger`, or 404; one that whoever asks may not reach is none. It is looked up once for a request."""
    known = request.parser_context.setdefault("known_chargers", {})
    if charger_id not in known:
        charger = Charger.known(charger_id)
        if charger is None or not reaches(request.user, charger):
            raise exceptions.NotFound("Charger not found")
        known[charger_id] = charger
    return known[charger_id]


def judge_reach(request):
    """Raise 404 where the body of `request` names a `charger_id` that is out of reach: its content comes after."""
    named = request.data.get("charger_id") if isinstance(request.data, Mapping) else None
    if isinstance(named, str):
        known_charger(request, named)


# --- how often -------------------------------------------------------------------------------


class CommandsPerUser:
    """A throttle of DRF's for views whose POST asks for a command: API_COMMANDS_PER_MINUTE of one user."""

    def allow_request(self, request, view):
        most = settings.API_COMMANDS_PER_MINUTE
        if request.method != "POST" or not most or not request.user.is_authenticated:
            return True
        self.left = throttling.seconds_to_wait(f"commands:{request.user.pk}", most)
        return not self.left

    def wait(self):
        return self.left
