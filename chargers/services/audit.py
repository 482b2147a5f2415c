"""The audit log: every command, every login, and every change of operators' data, each in the same transaction."""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.contrib.auth import signals as logins
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet, signals
from django.db.models.fields.files import FieldFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chargers import sql
from chargers.models import Charger
from core.db import bulk_sql
from core.db.sealing import Sealed
from core.http.middleware import GetResponse
from core.ocpp.redaction import without_secrets
from core.ocpp.schemas import JSON

SYSTEM_ACTOR = "central system"  # of changes that no user requested
ACTIONS = ["submitted", "not submitted", "created", "changed", "deleted", "closed", "attached", "revoked"]
ACTIONS += ["started", "paused", "resumed", "stopped", "retried", "cancelled", "login", "login failed", "logout"]
KINDS = [
    "command",
    "batch",
    "campaign",
    "schedule",
    "charger",
    "charger group",
    "site",
    "id tag",
    "transaction",
    "charging profile",
    "power limit",
]
KINDS += ["firmware", "certificate", "contract root", "user", "group", "api token", "webhook"]
# Of these columns the log says only whether they are set.
SECRET_COLUMNS = {"authorization_key_hash", "password", "digest", "target", "escalation_target"}
NOT_LOADED = object()

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)
_watched: dict[type, list[str]] = {}  # model: its logged columns
_secrets: dict[type, Callable[[JSON], Collection[str]]] = {}  # model: its secret ones, by their values


def remember_request(get_response: GetResponse) -> GetResponse:
    """Middleware: remember the request, so that entries name its user and address."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        token = _request.set(request)
        try:
            return get_response(request)
        finally:
            _request.reset(token)

    return middleware


def record(
    action: str,
    kind: str,
    name: object,
    charger: int | None = None,
    before: JSON | None = None,
    after: JSON | None = None,
    who: str | None = None,
) -> None:
    """Write an entry; `charger` is a primary key. User and address are those of the current request."""
    request = _request.get()
    row = [datetime.now(UTC), _username(request) if who is None else who, _address(request), action, kind]
    row += [str(name).replace("\0", "")[:300], charger, _json(before), _json(after)]
    bulk_sql.query(sql.INSERT_AUDIT_ENTRY, row)


def warn(charger: Charger, warning: str) -> None:
    """Record that an operator changed `charger` in spite of `warning`."""
    record("changed", "charger", charger, charger.pk, after={"warning": warning})


def _username(request: HttpRequest | None) -> str:
    if request is None:
        return "(manage.py)" if sys.argv[0].endswith("manage.py") else SYSTEM_ACTOR
    user = getattr(request, "user", None)  # also set by the authentication of the API
    return user.get_username() if user is not None else ""


def _address(request: HttpRequest | None) -> str:
    return (request.META.get("REMOTE_ADDR") or "")[:45] if request else ""


def _json(values: JSON | None) -> str | None:
    return None if values is None else json.dumps(_storable(values), cls=DjangoJSONEncoder)


def _storable(value: Any) -> Any:
    """Remove U+0000, which PostgreSQL cannot store in a text."""
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value


# --- changes of operators' data ----------------------------------------------------------------


def watch(model: type[Model], *columns: str, secrets: Callable[[JSON], Collection[str]] | None = None) -> None:
    """Record every change of `columns` (many-to-many fields included) of `model`, wherever it is saved.

    `secrets(values)` names the columns of a row with these values of which the log says only whether they are set.
    """
    if secrets:
        _secrets[model] = secrets
    plain = [name for name in columns if not model._meta.get_field(name).many_to_many]
    _watched[model] = plain
    signals.pre_save.connect(_load_former, sender=model)
    signals.post_save.connect(_saved, sender=model)
    signals.post_delete.connect(_deleted, sender=model)
    for name in set(columns) - set(plain):
        signals.m2m_changed.connect(_related, sender=getattr(model, name).through)


def _load_former(
    sender: type[Model], instance: Any, raw: bool = False, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    columns = _watched[sender]
    saved_columns = columns if update_fields is None else [name for name in columns if name in update_fields]
    if raw or not saved_columns:
        instance.former = NOT_LOADED
    elif instance.pk is None or instance._state.adding:
        instance.former = None
    else:
        former = sender._base_manager.filter(pk=instance.pk).first()
        instance.former = None if former is None else _values(former, saved_columns)


def _saved(sender: type[Model], instance: Model, created: bool, **_: Any) -> None:
    former = instance.__dict__.pop("former", NOT_LOADED)
    if former is NOT_LOADED:
        return
    columns = _watched[sender]
    now = _values(instance, columns)
    changed = [name for name in columns if former is None or (name in former and former[name] != now[name])]
    if not changed:
        return
    secret = {*_secret(sender, now), *_secret(sender, now | (former or {}))}
    before = None if former is None else {name: _shown(name in secret, former[name]) for name in changed}
    after = {name: _shown(name in secret, now[name], bool(former and former[name])) for name in changed}
    _record(instance, "created" if created else "changed", before, after)


def _deleted(sender: type[Model], instance: Model, **_: Any) -> None:
    values = _values(instance, _watched[sender])
    secret = _secret(sender, values)
    _record(instance, "deleted", before={name: _shown(name in secret, value) for name, value in values.items()})


def _related(
    sender: type[Model],
    instance: Model,
    action: str,
    pk_set: set[int] | None,
    model: type[Model],
    reverse: bool,
    **_: Any,
) -> None:
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    rows = model._base_manager.filter(pk__in=pk_set) if pk_set is not None else _all_of(instance, sender, model)
    if names := sorted(map(str, rows)):
        related = {str(model._meta.verbose_name_plural): names}
        is_removal = action != "post_add"
        _record(instance, "changed", before=related if is_removal else None, after=None if is_removal else related)


def _all_of(instance: Model, through: type[Model], model: type[Model]) -> QuerySet[Any]:
    """Return every row of `model` that is related to `instance` now."""
    ends = {field.related_model: field.name for field in through._meta.get_fields() if field.is_relation}
    related = through._base_manager.filter(**{ends[type(instance)]: instance.pk}).values(ends[model])
    return model._base_manager.filter(pk__in=related)


def _record(instance: Model, action: str, before: JSON | None = None, after: JSON | None = None) -> None:
    charger = instance.pk if isinstance(instance, Charger) and action != "deleted" else None
    record(action, str(instance._meta.verbose_name).lower(), instance, charger, before, after)


def _values(row: Model, columns: Iterable[str]) -> JSON:
    return {name: _plain(_value(row, name)) for name in columns}


def _value(row: Model, column: str) -> Any:
    """Return the value of a column; of a row that is deleted together with another one, the key of that one."""
    try:
        return getattr(row, column)
    except ObjectDoesNotExist:
        return getattr(row, f"{column}_id")


def _plain(value: Any) -> Any:
    if isinstance(value, FieldFile | Model | tzinfo):
        return str(value)
    return value.token if isinstance(value, Sealed) else value


def _secret(model: type[Model], values: JSON) -> Collection[str]:
    """Return the columns of a row with `values` whose content is not logged."""
    return {*SECRET_COLUMNS, *(_secrets[model](values) if model in _secrets else ())}


def _shown(is_secret: bool, value: Any, is_replaced: bool = False) -> Any:
    if not is_secret:
        return without_secrets(value) if isinstance(value, dict | str) else value
    return ("replaced" if is_replaced else "set") if value else "not set"


# --- logins ----------------------------------------------------------------------------------


def watch_logins() -> None:
    logins.user_logged_in.connect(lambda user, **_: _login("login", user), weak=False)
    logins.user_logged_out.connect(lambda user, **_: _login("logout", user), weak=False)
    logins.user_login_failed.connect(_login_failed)


def _login(action: str, user: AbstractBaseUser | None) -> None:
    if user:
        record(action, "user", user.get_username(), who=user.get_username())


def _login_failed(credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Record a failed login, unless the client is locked out for too many, so that the log stays bounded."""
    if not getattr(request, "axes_locked_out", False):
        record("login failed", "user", credentials.get("username") or "", who="")
