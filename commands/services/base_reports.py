"""The reports of chargers about their variables (OCPP 2.0.1 B07, B08): their content, and how two of them differ."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.postgres.aggregates import BoolOr
from django.db.models import Count, Max, Min, Q, QuerySet

from chargers.models import Charger
from chargers.models.variables import ACTUAL, MAX_ENUM_LENGTH, READ_WRITE
from chargers.services import variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.actions.ocpp201 import names
from commands.models import Command, ReportPart
from core.ocpp.schemas import JSON

ACTION = "NotifyReport"
# {member of OCPP: how it is stored}
CHARACTERISTICS = {
    "dataType": "data_type",
    "unit": "unit",
    "minLimit": "min_limit",
    "maxLimit": "max_limit",
    "supportsMonitoring": "supports_monitoring",
}


def variables_of(items: list[JSON]) -> list[ReportedVariable]:
    """Return the values in the `reportData` of a NotifyReport."""
    return [
        ReportedVariable(
            name=names.read(item, attribute.get("type", ACTUAL)),
            value=attribute.get("value"),
            mutability=attribute.get("mutability", READ_WRITE)[:MAX_ENUM_LENGTH],
            characteristics=_characteristics(item),
            persistent=attribute.get("persistent", False),
            constant=attribute.get("constant", False),
        )
        for item in items
        for attribute in item["variableAttribute"] or [{}]
    ]


def _characteristics(item: JSON) -> JSON | None:
    """Return what the charger reports about all values of a variable, None if it reports nothing."""
    sent = item.get("variableCharacteristics", {})
    stored = {name: sent[member] for member, name in CHARACTERISTICS.items() if member in sent}
    if listed := sent.get("valuesList"):
        stored["values_list"] = [value.strip() for value in listed.split(",")]
    return stored or None


@dataclass
class Summary:
    """A report, as far as it has arrived. `command` is the one that requested it, None if none is known."""

    request_id: int
    parts: int
    is_complete: bool
    first_at: datetime
    last_at: datetime
    command: Command | None


@dataclass
class WholeReport(Summary):
    """A report with its values, as far as they have arrived."""

    variables: list[ReportedVariable]


def of_charger(charger: Charger) -> QuerySet[Any, Any]:
    """Return one row for each report of `charger`, the latest first, for `summaries`."""
    parts = ReportPart.objects.filter(charger=charger, action=ACTION).order_by()
    grouped = parts.values("request_id").annotate(
        parts=Count("pk"),
        has_last=BoolOr("is_last"),
        last_number=Max("seq_no", filter=Q(is_last=True)),
        first_at=Min("received_at"),
        last_at=Max("received_at"),
    )
    return grouped.order_by("-last_at", "-request_id")


def summaries(charger: Charger, rows: list[JSON]) -> list[Summary]:
    """Return the reports of `charger` that `rows` of `of_charger` describe."""
    commands = Command.objects.filter(charger=charger, request_id__in=[row["request_id"] for row in rows])
    known = {command.request_id: command for command in commands.order_by("pk")}
    return [_summary(row, known.get(row["request_id"])) for row in rows]


def _summary(row: JSON, command: Command | None) -> Summary:
    """A report is complete if its last part has arrived, and as many before it as it counts."""
    is_complete = row["has_last"] and row["parts"] > (row["last_number"] or 0)
    return Summary(row["request_id"], row["parts"], is_complete, row["first_at"], row["last_at"], command)


def contents(charger: Charger, request_id: int) -> list[ReportedVariable] | None:
    """Return the values in the parts of a report that have arrived, None if `charger` has sent none with this id."""
    parts = list(ReportPart.objects.filter(charger=charger, action=ACTION, request_id=request_id))
    return variables_of([item for part in parts for item in part.items]) if parts else None


def find(charger: Charger, request_id: int) -> WholeReport | None:
    """Return a report of `charger`, None if it has sent none with this id."""
    rows = summaries(charger, list(of_charger(charger).filter(request_id=request_id)))
    values = contents(charger, request_id)
    return WholeReport(**vars(rows[0]), variables=values) if rows and values is not None else None


@dataclass
class Change:
    """A value that two reports have, and that differs."""

    name: VariableName
    old_value: str | None
    new_value: str | None


@dataclass
class Difference:
    """How a later report differs from an earlier one. Values have no secrets, so a changed secret is no change."""

    added: list[ReportedVariable]
    removed: list[ReportedVariable]
    changed: list[Change]


def difference(earlier: list[ReportedVariable], later: list[ReportedVariable]) -> Difference:
    """Compare two reports by the names of their values."""
    before = {variables.identity(row.name): row for row in earlier}
    after = {variables.identity(row.name): row for row in later}
    return Difference(
        added=[row for key, row in after.items() if key not in before],
        removed=[row for key, row in before.items() if key not in after],
        changed=[
            Change(row.name, before[key].value, row.value)
            for key, row in after.items()
            if key in before and before[key].value != row.value
        ],
    )
