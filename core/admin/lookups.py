"""Restrict filters, searches and orders to declared columns, and never allow one by a secret column.

A filter, a search or an order by a hidden column reveals it letter by letter. The columns of SECRET_COLUMNS and
those of `core.db.sealing` are refused wherever they are named: in the admin (`Site`, for all its models, also those
of libraries) and in the filters of REST and pages (`refuse_secret`).
"""

from functools import cache

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models.constants import LOOKUP_SEP

from core.db.sealing import Unsearchable

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
    "commands.command": {"claim_token", "idempotency_key", "request_digest"},
    "commands.batch": {"idempotency_key", "request_digest"},
    "commands.upload": {"token_hash", "file"},
}
# Lookups that the filters of Django's lists and its date hierarchies append to a column.
SUFFIXES = ("", "__exact", "__isnull", "__isempty", "__gte", "__lt")
DATES = ("__year", "__month", "__day")


def is_secret(field):
    """Whether the model field `field` must not be compared."""
    if isinstance(field, Unsearchable):
        return True
    model = getattr(field, "model", None)
    return model is not None and field.name in SECRET_COLUMNS.get(model._meta.label_lower, ())


def names_secret(model, path):
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
        model = field.related_model
        if model is None:
            return False
    return False


def refuse_secret(where, model, paths):
    """Raise `ImproperlyConfigured` if one of `paths`, by which `where` searches or filters, is secret."""
    for path in paths:
        if names_secret(model, path):
            raise ImproperlyConfigured(
                f"{where} searches or filters by {model._meta.label}.{path}, which is secret: remove it."
            )


# --- the admin -------------------------------------------------------------------------------


class Declared:
    """A mix-in for every `ModelAdmin`: lists are filtered and sorted by declared columns alone.

    Django by itself allows any lookup of a model's own columns, and sorts by each column of a list. A `ModelAdmin`
    may have `linked`: further lookups, to which pages link.
    """

    def get_search_fields(self, request):
        return [path for path in super().get_search_fields(request) if not self._is_secret(path)]

    def get_list_filter(self, request):
        entries = super().get_list_filter(request)
        return [entry for entry in entries if not isinstance(path := _path(entry), str) or not self._is_secret(path)]

    def _is_secret(self, path):
        return names_secret(self.model, path)

    def lookup_allowed(self, lookup, value, request=None):
        return lookup in self._declared_lookups(request)

    def _declared_lookups(self, request):
        names = set(getattr(self, "linked", ()))
        for path in map(_path, self.get_list_filter(request)):
            names |= _lookups_of(self.model, path) if isinstance(path, str) else {path.parameter_name}
        if self.date_hierarchy:
            names |= _lookups_of(self.model, self.date_hierarchy)
            names |= {f"{self.date_hierarchy}{suffix}" for suffix in DATES}
        return names

    def get_changelist(self, request, **kwargs):
        return _declared_order(super().get_changelist(request, **kwargs))


def _path(entry):
    """Return the path that an entry of `list_filter` names, or its class with a parameter of its own."""
    return entry[0] if isinstance(entry, list | tuple) else entry


def _lookups_of(model, path):
    names = {f"{path}{suffix}" for suffix in SUFFIXES}
    *relations, name = path.split(LOOKUP_SEP)
    for relation in relations:
        model = model._meta.get_field(relation).related_model
    field = model._meta.get_field(name)
    return names | {f"{path}__{field.target_field.name}__exact"} if field.is_relation else names


@cache
def _declared_order(changelist):
    class DeclaredOrder(changelist):
        def get_ordering_field(self, field_name):
            """Return None, which means no order, for columns that are not sortable, whatever the address requests."""
            if field_name not in self.sortable_by:
                return None
            field = super().get_ordering_field(field_name)
            return None if isinstance(field, str) and names_secret(self.model, field) else field

    return DeclaredOrder


class Site(admin.AdminSite):
    """The admin site: every registered `ModelAdmin`, also of libraries, gets the mix-in `Declared`."""

    def register(self, model_or_iterable, admin_class=None, **options):
        base = admin_class or admin.ModelAdmin
        declared = type(base.__name__, (Declared, base), {"__module__": base.__module__, "__doc__": base.__doc__})
        super().register(model_or_iterable, declared, **options)
