"""Forms that create or change a row. The serializer of REST checks and saves it, so that both have the same rules."""

from collections.abc import Collection, Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from timezone_field.rest_framework import TimeZoneSerializerField

from core.sentences import FIELDS, translated
from dashboard.forms import Field
from dashboard.labels import LABELS

SECONDS = len("2026-01-31T18:00:00")  # of a time in ISO 8601 without its offset
NUMBERS = (serializers.IntegerField, serializers.FloatField, serializers.DecimalField)


def fields_of(
    serializer: Any,
    names: Collection[str],
    query: QueryDict | None = None,
    errors: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
    hints: Mapping[str, Any] | None = None,
) -> list[Field]:
    """Return the fields `names` of `serializer` with their values, or those that were sent as `query`."""
    shown = serializer.data if serializer.instance is not None else {}
    made = []
    for name in names:
        source = serializer.fields[name]
        field = _field(name, source)
        field.label, field.hint = (labels or {}).get(name, FIELDS.get(name, name)), (hints or {}).get(name, "")
        field.value = _text(field, shown.get(name, _default(source, serializer)))
        if query is not None:
            field.value = _sent(field, query)
        field.error = " ".join(translated(line) for line in _lines((errors or {}).get(name, [])))
        made.append(field)
    return made


def changes(
    serializer: Any, names: Collection[str], query: QueryDict, files: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the body of a request to REST: {name: value} of the fields that were sent, without unchanged ones.

    What is not changed is not sent, because others may change the row at the same time.
    """
    body: dict[str, Any] = {}
    for field in fields_of(serializer, names):
        if field.kind == "file":
            body |= {field.name: files[field.name]} if files and field.name in files else {}
            continue
        sent = _sent(field, query)
        if serializer.instance is not None and sent == field.value:
            continue
        value = _value(serializer.fields[field.name], field, sent)
        if value is not serializers.empty:
            body[field.name] = value
    return body


def _field(name: str, source: Any) -> Field:
    kind = type(source)
    made = Field(name, name, "text", source.required, longest=getattr(source, "max_length", None))
    if issubclass(kind, serializers.FileField):
        made.kind = "file"
    elif issubclass(kind, serializers.BooleanField):
        made.kind, made.is_required = "check", False
    elif issubclass(kind, serializers.ManyRelatedField):
        queryset = source.child_relation.queryset
        made.kind = "many" if queryset is not None else "lines"
        made.choices = [] if queryset is None else _rows(source.child_relation, queryset)
    elif issubclass(kind, serializers.ListField):
        made.kind = "many"
        made.choices = [(value, value) for value in source.child.choices]
    elif issubclass(kind, serializers.RelatedField):
        made.kind, made.choices = "choice", _rows(source, source.get_queryset())
    elif issubclass(kind, serializers.ChoiceField) and not issubclass(kind, TimeZoneSerializerField):
        made.kind = "choice"
        made.choices = [
            (value, LABELS.get(str(value)) or translated(text))
            for value, text in source.choices.items()
            if value != ""
        ]
        made.is_required = not (source.allow_blank or source.allow_null)
    elif issubclass(kind, NUMBERS):
        made.kind = "number"
    elif issubclass(kind, serializers.DateTimeField):
        made.kind = "moment"
    elif issubclass(kind, serializers.CharField) and source.style.get("base_template"):
        made.kind = "box"
    return made


def _rows(source: Any, queryset: Any) -> list[tuple[Any, str]]:
    """Return the choices of a relation: pairs of what REST takes and its name."""
    slug = getattr(source, "slug_field", "pk")
    return [(getattr(row, slug), str(row)) for row in queryset.all()]


def _default(source: Any, serializer: Any) -> Any:
    """Return the value of a new row: the default of the serializer, else that of the model."""
    if source.default is not serializers.empty and not callable(source.default):
        return source.default
    model = getattr(getattr(serializer, "Meta", None), "model", None)
    columns = {column.name: column for column in model._meta.concrete_fields} if model else {}
    column = columns.get(source.source)
    value = column.get_default() if column is not None and column.has_default() else None
    return source.to_representation(value) if value not in (None, "") else value


def _text(field: Field, value: Any) -> Any:
    """Return a value of REST as the form shows it: a text, a list of texts, or a boolean."""
    if field.kind == "check":
        return bool(value)
    if field.kind == "many":
        return [str(one) for one in value or ()]
    if field.kind == "lines":
        return "\n".join(value or ())
    if value is None:
        return ""
    return str(value)[:SECONDS] if field.kind == "moment" else str(value)


def _sent(field: Field, query: QueryDict) -> Any:
    """Return what a browser sent for a field, in the form of `_text`."""
    if field.kind == "check":
        return field.name in query
    if field.kind == "many":
        return [_clean(text) for text in query.getlist(field.name)]
    text = _clean(query.get(field.name, ""))
    if field.kind == "moment" and len(text) == SECONDS - 3:  # browsers leave out seconds that are zero
        text += ":00"
    return "\n".join(line.strip() for line in text.split("\n") if line.strip()) if field.kind == "lines" else text


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").replace("\r\n", "\n")


def _value(source: Any, field: Field, sent: Any) -> Any:
    """Return a text of the form as REST takes it, `empty` for none where REST has a default."""
    if field.kind == "lines":
        return sent.split("\n") if sent else []
    if sent == "" and not getattr(source, "allow_blank", False):
        if source.allow_null:
            return None
        return "" if source.required else serializers.empty
    return sent


def _lines(detail: Any) -> list[str]:
    """Return the sentences of an error at any depth."""
    if isinstance(detail, Mapping):
        return [line for inner in detail.values() for line in _lines(inner)]
    if isinstance(detail, list | tuple):
        return [line for inner in detail for line in _lines(inner)]
    return [str(detail)]


def remaining(errors: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return the sentences of `errors` that are about none of the fields `names`."""
    return [translated(line) for name, detail in errors.items() if name not in names for line in _lines(detail)]
