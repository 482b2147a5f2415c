"""Id tags as CSV: a file is read whole, and each line checked by the serializer of REST before any is stored."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.db.models.functions import Upper
from django.http import HttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from chargers.models import Charger, ChargerGroup
from chargers.services import access
from core.http.downloads import cell, text_of_cell
from core.http.errors import Conflict
from transactions.api.serializers import CHARGER_NOT_FOUND, IdTagSerializer
from transactions.models import IdTag
from transactions.services.key_codes import KEY_CODE

MOST_LINES = 10_000
COLUMNS = (
    *("id_tag", "type", "status", "expiry_date", "parent_id_tag", "master_pass", "language", "message"),
    *("chargers", "groups", "concurrent_limit", "description"),
)
LISTS = ("chargers", "groups")
DEFAULTS: dict[str, Any] = {"status": "Accepted", "expiry_date": None, "master_pass": False, "concurrent_limit": None}
DELIMITERS = ",;\t"
NEW, CHANGED, UNCHANGED = "new", "changed", "unchanged"
NOT_UTF_8 = "The file is not a text in UTF-8."
NO_COLUMN = "The first line must name the columns, id_tag among them."
UNKNOWN_COLUMN = "There is no such column."
TOO_MANY_LINES = "A file may have 10,000 lines. Split it."
TOO_MANY_CELLS = "This line has more cells than the first line has columns."
NO_GROUP = "Object with name={value} does not exist."
TWICE = "This tag is in the file twice."


class Named(serializers.Field):
    """A row by its name, of those in the context `rows_of`."""

    default_error_messages: ClassVar[Any] = CHARGER_NOT_FOUND | {
        "no_group": "Object with name={value} does not exist."
    }

    def to_internal_value(self, name: str) -> Any:
        kind = str(self.parent.source)
        row = self.context["rows_of"][kind].get(name)
        if row is None:
            self.fail("does_not_exist" if kind == "chargers" else "no_group", value=name)
        return row

    def to_representation(self, row: Any) -> str:
        return str(row)


class LineSerializer(IdTagSerializer):
    """An id tag of a file, whose context has the rows that the file names, because a query for each would be slow."""

    chargers: Any = serializers.ListField(child=Named(), required=False)
    groups: Any = serializers.ListField(child=Named(), required=False)

    def same(self, id_tag: str, type: str) -> IdTag | None:
        return self.context["known"].get((id_tag.upper(), type))


@dataclass
class Line:
    """A line of the file: `change` is NEW, CHANGED or UNCHANGED; `columns` are the checked values."""

    number: int
    id_tag: str
    type: str
    description: str
    tag: IdTag | None = None
    change: str = NEW
    columns: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class TagFile:
    """A file that was read. With any of `errors` nothing of it may be stored."""

    lines: list[Line]
    serializer: LineSerializer

    @property
    def errors(self) -> list[tuple[int, str, str]]:
        """The number of the line, the column or "", and a sentence for each error."""
        return [
            (line.number, column, str(text))
            for line in self.lines
            for column, texts in line.errors.items()
            for text in texts
        ]

    def count(self, change: str) -> int:
        return sum(line.change == change for line in self.lines if not line.errors)

    def counts(self) -> dict[str, int]:
        return {"created": self.count(NEW), "changed": self.count(CHANGED), "unchanged": self.count(UNCHANGED)}

    def refuse_errors(self) -> None:
        """Raise a `ValidationError` that names each error by line and column."""
        if self.errors:
            named: dict[str, list[str]] = {}
            for number, column, text in self.errors:
                named.setdefault(f"line {number}{column and f'.{column}'}", []).append(text)
            raise ValidationError(named)

    def store(self) -> None:
        """Store all lines, or none: raise `ValidationError` or `Conflict`."""
        self.refuse_errors()
        try:
            with transaction.atomic():
                for line in self.lines:
                    self._store(line)
        except IntegrityError as error:
            raise Conflict("Id tags were changed at the same time. Import the file again.") from error

    def _store(self, line: Line) -> None:
        if line.change == NEW:
            self.serializer.create(dict(line.columns))
        elif line.change == CHANGED and line.tag is not None:
            self.serializer.update(line.tag, dict(line.columns))


def read(content: bytes | str, request: Any) -> TagFile:
    """Read and check a file for the user of `request`."""
    rows, broken = _rows(content)
    context = {"request": request, **_known(rows, request.user)}
    made = TagFile([], LineSerializer(context=context))
    seen: set[tuple[str, str]] = set()
    for number, row in rows:
        line = _line(number, row, made.serializer)
        identity = (line.id_tag.upper(), line.type)
        if identity in seen:
            line.errors.setdefault("id_tag", []).append(TWICE)
        seen.add(identity)
        made.lines.append(line)
    for number, column, text in broken:
        made.lines.append(Line(number, "", "", "", errors={column: [text]}))
    made.lines.sort(key=lambda line: line.number)
    return made


Rows = list[tuple[int, dict[str, str]]]  # the number of a line, and {column: cell}
Errors = list[tuple[int, str, str]]  # the number of a line, the column or "", and a sentence


def _rows(content: bytes | str) -> tuple[Rows, Errors]:
    """Return the lines of a file, and the errors by which others can't be read."""
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
    except UnicodeDecodeError:
        return [], [(1, "", NOT_UTF_8)]
    head = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=head.count))
    lines = ((reader.line_num, cells) for cells in reader if any(map(str.strip, cells)))
    rows: Rows = []
    errors: Errors = []
    try:
        number, cells = next(lines, (1, []))
        columns = [name.strip().lower() for name in cells]
        if errors := _errors_of_head(number, columns):
            return [], errors
        for number, cells in lines:
            if len(rows) >= MOST_LINES:
                return rows, [*errors, (number, "", TOO_MANY_LINES)]
            if any(cells[len(columns) :]):
                errors.append((number, "", TOO_MANY_CELLS))
            else:
                rows.append((number, dict(zip(columns, map(text_of_cell, cells), strict=False))))
    except csv.Error as error:
        errors.append((reader.line_num, "", f"This is not CSV: {error}."))
    return rows, errors


def _errors_of_head(number: int, columns: list[str]) -> Errors:
    if "id_tag" not in columns or len(set(columns)) < len(columns):
        return [(number, "", NO_COLUMN)]
    return [(number, name[:100], UNKNOWN_COLUMN) for name in columns if name not in COLUMNS]


def _known(rows: Rows, user: Any) -> dict[str, Any]:
    """Return what the file names: the tags by text and type, and the groups and reached chargers by their names."""
    texts = {row.get("id_tag", "").upper() for _, row in rows if "\0" not in row.get("id_tag", "")}
    tags = IdTag.objects.annotate(folded=Upper("id_tag")).filter(folded__in=texts)
    named = {kind: {name for _, row in rows for name in _listed(row.get(kind, ""))} for kind in LISTS}
    named = {kind: {name for name in names if "\0" not in name} for kind, names in named.items()}
    chargers = access.within(user, Charger.objects.filter(identity__in=named["chargers"]), "pk")
    groups = ChargerGroup.objects.filter(name__in=named["groups"])
    return {
        "known": {(tag.id_tag.upper(), tag.type): tag for tag in tags.prefetch_related("chargers", "groups")},
        "rows_of": {
            "chargers": {charger.identity: charger for charger in chargers},
            "groups": {group.name: group for group in groups},
        },
    }


def _line(number: int, row: Mapping[str, str], serializer: LineSerializer) -> Line:
    line = Line(number, row.get("id_tag", ""), row.get("type", ""), row.get("description", ""))
    line.tag = serializer.same(line.id_tag, line.type)
    serializer.instance, serializer.partial = line.tag, line.tag is not None
    try:
        line.columns = serializer.run_validation({name: _value(name, text) for name, text in row.items()})
    except ValidationError as error:
        line.errors = _sentences(error.detail)
    else:
        line.change = (
            NEW if line.tag is None else CHANGED if _differs(line.tag, line.columns, serializer) else UNCHANGED
        )
    finally:
        serializer.instance, serializer.partial = None, False
    return line


def _sentences(detail: Any) -> dict[str, list[str]]:
    def lines(inner: Any) -> Iterator[str]:
        for one in inner.values() if isinstance(inner, Mapping) else inner:
            if isinstance(one, str):
                yield one
            else:
                yield from lines(one)

    return {str(name): list(lines(inner)) for name, inner in detail.items()}


def _value(name: str, text: str) -> Any:
    """Return a cell as REST takes it."""
    if name in LISTS:
        return _listed(text)
    return DEFAULTS[name] if name in DEFAULTS and not text.strip() else text


def _listed(text: str) -> list[str]:
    """Return the names in a cell, which are separated by semicolons; one that has a semicolon is in quotes."""
    try:
        return [name for name in next(csv.reader([text], delimiter=";", skipinitialspace=True), []) if name]
    except csv.Error:
        return [text]


def _differs(tag: IdTag, columns: Mapping[str, Any], serializer: LineSerializer) -> bool:
    for name, value in columns.items():
        if name == "chargers":
            former: Any = {charger for charger in tag.chargers.all() if serializer.reaches(charger)}
        else:
            former = set(getattr(tag, name).all()) if name in LISTS else getattr(tag, name)
        if former != (set(value) if name in LISTS else value):
            return True
    return False


# --- export ----------------------------------------------------------------------------------


def response(tags: Any, user: Any) -> HttpResponse:
    """Return `tags` (a queryset) as a file that `read` takes, without those of type KeyCode, which are PINs.

    Chargers that `user` may not reach are left out; an import of the file keeps them. Times are in the current zone.
    """
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="id-tags.csv"'
    answer["Cache-Control"] = "no-store"
    writer = csv.writer(answer)
    writer.writerow(COLUMNS)
    every = access.reaches_every_charger(user)
    reached = () if every else set(access.within(user, Charger.objects.all(), "pk").values_list("pk", flat=True))
    shown = tags.exclude(type=KEY_CODE).prefetch_related("chargers", "groups").order_by("id_tag", "type")
    for tag in shown.iterator(chunk_size=2000):
        chargers = [charger.identity for charger in tag.chargers.all() if every or charger.pk in reached]
        lists = {"chargers": _joined(chargers), "groups": _joined(group.name for group in tag.groups.all())}
        writer.writerow([_cell(lists.get(name) or getattr(tag, name, None), name) for name in COLUMNS])
    return answer


def _joined(names: Iterable[str]) -> str:
    joined = io.StringIO()
    csv.writer(joined, delimiter=";", lineterminator="").writerow(sorted(names))
    return joined.getvalue()


def _cell(value: Any, name: str) -> Any:
    """Return the text of a cell, see `downloads.cell`."""
    if name in LISTS and not isinstance(value, str):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return cell(timezone.localtime(value))
    return cell(value)
