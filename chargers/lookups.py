"""Which columns may be asked about: those that are declared, and never one that hides something.

A filter, a search or an order by a column that is not shown answers questions about it, letter by letter. The columns
of SECRET and those of `chargers.sealing` are refused wherever they are named: in the admin (`Site`, for all its
models, also those of libraries) and in the filters of REST and pages (`refuse_secret`).
"""

from functools import cache

from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models.constants import LOOKUP_SEP

from chargers.sealing import Unsearchable

# Model: its columns that hold something which is not shown, or is a proof of it (a hash, a fingerprint).
SECRET = {
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
# What the filters of Django's lists and its date hierarchies put behind the name of a column.
SUFFIXES = ("", "__exact", "__isnull", "__isempty", "__gte", "__lt")
DATES = ("__year", "__month", "__day")


def is_secret(field):
    """Whether the model field `field` is never compared."""
    if isinstance(field, Unsearchable):
        return True
    model = getattr(field, "model", None)
    return model is not None and field.name in SECRET.get(model._meta.label_lower, ())


def names_secret(model, path):
    """Whether `path`, such as `command__payload__contains`, leads from `model` to or across a secret column."""
    for name in path.lstrip("=^@-").split(LOOKUP_SEP):
        if name == "pk":
            name = model._meta.pk.name
        try:
            field = model._meta.get_field(name)
        except FieldDoesNotExist:
            return False  # the rest is a lookup, or a word that is no column
        if is_secret(field):
            return True
        model = field.related_model
        if model is None:
            return False
    return False


def refuse_secret(where, model, paths):
    """Raise `ImproperlyConfigured` where one of `paths`, by which `where` searches or filters, is secret."""
    for path in paths:
        if names_secret(model, path):
            raise ImproperlyConfigured(
                f"{where} asks about {model._meta.label}.{path}, which is not shown: leave it out."
            )


# --- the admin -------------------------------------------------------------------------------


class Declared:
    """For every `ModelAdmin`: its lists are narrowed and sorted by what it declares, and by nothing else.

    Django allows any lookup of a model's own columns, and sorts by each column of a list. A `ModelAdmin` may have
    `linked`: further lookups, which pages link to.
    """

    def get_search_fields(self, request):
        return [path for path in super().get_search_fields(request) if not names_secret(self.model, path)]

    def get_list_filter(self, request):
        told = super().get_list_filter(request)
        return [one for one in told if not isinstance(path := _path(one), str) or not names_secret(self.model, path)]

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


def _path(told):
    """What an entry of `list_filter` names: a path, or a class with a parameter of its own."""
    return told[0] if isinstance(told, list | tuple) else told


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
            """None, which is no order, for columns that can't be clicked, whatever the address says."""
            if field_name not in self.sortable_by:
                return None
            found = super().get_ordering_field(field_name)
            return None if isinstance(found, str) and names_secret(self.model, found) else found

    return DeclaredOrder


class Site(admin.AdminSite):
    """The admin site: whatever is registered, by us or by a library, is `Declared`."""

    def register(self, model_or_iterable, admin_class=None, **options):
        found = admin_class or admin.ModelAdmin
        declared = type(found.__name__, (Declared, found), {"__module__": found.__module__, "__doc__": found.__doc__})
        super().register(model_or_iterable, declared, **options)
