"""Rows of models about which a test needs nothing but that there is one."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import NOT_PROVIDED

from chargers.models import Charger

BY_TYPE = {
    models.JSONField: {},
    models.DateTimeField: datetime(2025, 2, 26, 12, tzinfo=UTC),
    models.BooleanField: False,
    models.DecimalField: 1,
    models.IntegerField: 1,
    models.CharField: "x",
    models.TextField: "x",
}


def a_row(model, charger):
    """Create a row with any value in each column that needs one; it is not saved by the model's own `save`."""
    columns = {field.name: _value(field, charger) for field in model._meta.fields if _is_needed(field)}
    return model.objects.bulk_create([model(**columns)])[0]


def _is_needed(field):
    has_value = field.null or {field.default, field.db_default} != {NOT_PROVIDED}
    return not (has_value or field.primary_key or field.generated)


def _value(field, charger):
    if field.is_relation:
        assert field.related_model is Charger, field
        return charger
    return next(value for kind, value in BY_TYPE.items() if isinstance(field, kind))
