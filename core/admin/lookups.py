"""Restrict filters, searches and orders to declared columns, and never allow one by a secret column.

A filter, a search or an order by a hidden column reveals it letter by letter. The columns of SECRET_COLUMNS and
those of `core.db.sealing` are refused wherever they are named: in the admin (`Site`, for all its models, also those
of libraries) and in the filters of REST and pages (`refuse_secret`).
"""

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Field, Model
from django.db.models.constants import LOOKUP_SEP
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.http import HttpRequest

from core.db.sealing import Unsearchable

if TYPE_CHECKING:  # the class with which `Site` combines the mix-in
    from django.contrib.contenttypes.fields import GenericForeignKey

    Mixed = admin.ModelAdmin[Any]
    Column = Field[Any, Any] | ForeignObjectRel | GenericForeignKey
else:
    Mixed = object

# Model: its columns that hold a secret, or a proof of one (a hash, a fingerprint).
SECRET_COLUMNS = {
    "auth.user": {"password"},
    "sessions.session": {"session_key", "session_data"},
    "axes.accessattempt": {"get_data", "post_data"},
    "axes.accesslog": {"session_hash"},
    "django_celery_results.taskresult": {"task_args", "task_kwargs", "result", "traceback", "meta"},
    "django_celery_results.groupresult": {"result"},
    "django_celery_beat.periodictask": {"args", "kwargs", "headers"},
    "chargers.apitoken": {"digest", "token_key"},
    "chargers.charger": {
        *("authorization_key_hash", "next_authorization_key_hashes"),
        *("last_call_id", "last_call_digest", "last_answer"),
    },
    "chargers.notificationrule": {"template"},
    "commands.command": {"claim_token", "idempotency_key", "request_digest"},
    "commands.batch": {"idempotency_key", "request_digest"},
    "commands.campaign": {"idempotency_key", "request_digest"},
    "commands.upload": {"token_hash", "file"},
}
# Lookups that the filters of Django's lists and its date hierarchies append to a column.
SUFFIXES = ("", "__exact", "__isnull", "__isempty", "__gte", "__lt")
DATES = ("__year", "__month", "__day")


def is_secret(field: "Column") -> bool:
    """Whether the model field `field` must not be compared."""
    if isinstance(field, Unsearchable):
        return True
    model = getattr(field, "model", None)
    return model is not None and field.name in SECRET_COLUMNS.get(model._meta.label_lower, ())


def names_secret(model: type[Model], path: str) -> bool:
    """Whether `path` leads from `model` to or across a secret column, as in `command__payload__contains`."""
    for name in path.lstrip("=^@-").split(LOOKUP_SEP):
        if name == "pk":
            name = model._meta.pk.name
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            return False  # the rest is a lookup, or no column
        if is_secret(field):
            return True
        if field.related_model is None:
            return False
        model = cast(type[Model], field.related_model)
    return False


def refuse_secret(where: str, model: type[Model], paths: Iterable[str]) -> None:
    """Raise `ImproperlyConfigured` if one of `paths`, by which `where` searches or filters, is secret."""
    for path in paths:
        if names_secret(model, path):
            raise ImproperlyConfigured(
                f"{where} searches or filters by {model._meta.label}.{path}, which is secret: remove it."
            )


# --- the admin -------------------------------------------------------------------------------


class Declared(Mixed):
    """A mix-in for every `ModelAdmin`: lists are filtered and sorted by declared columns alone.

    Django by itself allows any lookup of a model's own columns, and sorts by each column of a list. A `ModelAdmin`
    may have `linked`: further lookups, to which pages link.
    """

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [path for path in super().get_search_fields(request) if not self._is_secret(path)]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        entries = super().get_list_filter(request)
        return [entry for entry in entries if not isinstance(path := _path(entry), str) or not self._is_secret(path)]

    def _is_secret(self, path: str) -> bool:
        return names_secret(self.model, path)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup in self._declared_lookups(request)

    def _declared_lookups(self, request: HttpRequest) -> set[str]:
        names: set[str] = set(getattr(self, "linked", ()))
        for path in map(_path, self.get_list_filter(request)):
            names |= _lookups_of(self.model, path) if isinstance(path, str) else {path.parameter_name}
        if self.date_hierarchy:
            names |= _lookups_of(self.model, self.date_hierarchy)
            names |= {f"{self.date_hierarchy}{suffix}" for suffix in DATES}
        return names

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        # mypy takes the `__hash__` of instances for that of their class.
        return _declared_order(super().get_changelist(request, **kwargs))  # type: ignore[arg-type]


def _path(entry: Any) -> Any:
    """Return the path that an entry of `list_filter` names, or its class with a parameter of its own."""
    return entry[0] if isinstance(entry, list | tuple) else entry


def _lookups_of(model: type[Model], path: str) -> set[str]:
    names = {f"{path}{suffix}" for suffix in SUFFIXES}
    *relations, name = path.split(LOOKUP_SEP)
    for relation in relations:
        model = cast(type[Model], model._meta.get_field(relation).related_model)
    field: Any = model._meta.get_field(name)
    return names | {f"{path}__{field.target_field.name}__exact"} if field.is_relation else names


@cache
def _declared_order(changelist: type[ChangeList]) -> type[ChangeList]:
    class DeclaredOrder(changelist):  # type: ignore[valid-type, misc]
        def get_ordering_field(self, field_name: str) -> Any:
            """Return None, which means no order, for columns that are not sortable, whatever the address requests."""
            if field_name not in self.sortable_by:
                return None
            field = super().get_ordering_field(field_name)
            return None if isinstance(field, str) and names_secret(self.model, field) else field

    return DeclaredOrder


class Site(admin.AdminSite):
    """The admin site: every registered `ModelAdmin`, also of libraries, gets the mix-in `Declared`."""

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: "type[admin.ModelAdmin[Any]] | None" = None,
        **options: Any,
    ) -> None:
        base = admin_class or admin.ModelAdmin
        declared = type(base.__name__, (Declared, base), {"__module__": base.__module__, "__doc__": base.__doc__})
        super().register(model_or_iterable, declared, **options)
