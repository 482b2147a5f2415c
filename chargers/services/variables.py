"""The device model of chargers: what they reported and accepted. A configuration key of OCPP 1.6 has no component."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Lower

from chargers.models import Finding, Variable, VariableChange
from chargers.models.variables import ACTUAL, ATTRIBUTES, NAME, READ_WRITE
from chargers.services import budgets, findings
from core.ocpp.redaction import without_secrets

Identity = tuple[str | int | None, ...]
Key = tuple[int, Identity]  # the charger (primary key), and what names the value
# Their values change all the time, so a history of them says nothing.
UNRECORDED = frozenset({("clockctrlr", "datetime")})
MAX_DIGITS = 10  # of a number that a charger reports


@dataclass(frozen=True)
class VariableName:
    """The name of one value of a charger, see `Variable`."""

    variable: str
    component: str = ""
    component_instance: str = ""
    evse_id: int | None = None
    connector_id: int | None = None
    instance: str = ""
    attribute: str = ACTUAL


@dataclass(frozen=True)
class ReportedVariable:
    """A value that a charger reported. What is None, except the value, was not reported and stays as it is stored."""

    name: VariableName
    value: str | None
    mutability: str | None = READ_WRITE
    characteristics: dict[str, Any] | None = None
    persistent: bool | None = None
    constant: bool | None = None


DETAILS = ("mutability", "characteristics", "persistent", "constant")


def report(charger: int, reported: Iterable[ReportedVariable], message: str, is_whole: bool = False) -> None:
    """Store `reported` of `charger` (primary key), without secrets, and the changes of values.

    Variables beyond the budget are counted as findings in `message`. If the report is the whole device model, the
    other variables are deleted, unless it is empty.
    """
    reported = list(reported)
    if is_whole:
        forget_others(charger, [variable.name for variable in reported], message)
    report_all([(charger, reported)], message)


def report_all(reports: Iterable[tuple[int, Iterable[ReportedVariable]]], message: str) -> None:
    """Store what chargers (primary keys) reported, like `report`, by one set of statements."""
    wanted = {(charger, identity(variable.name)): variable for charger, reported in reports for variable in reported}
    names = [variable.name for variable in wanted.values()]
    rows = _rows({charger for charger, _ in wanted}, names) if wanted else ()
    stored = {(row.charger_id, identity(row)): row for row in rows}
    for new in _beyond_budget([each for each in wanted if each not in stored], message):
        del wanted[new]
    # In one order, so that two transactions do not wait for each other.
    pairs = [(former := stored.get(key), _row(key[0], former, wanted[key])) for key in sorted(wanted, key=str)]
    _record_changes([(former, row.value) for former, row in pairs if former], message)
    _write([row for _, row in pairs], *DETAILS)


def _rows(chargers: Collection[int], names: Iterable[VariableName]) -> QuerySet[Variable]:
    """Return the rows of `chargers` (primary keys) with the variables of `names`, and few others."""
    lowered = {name.variable.lower() for name in names}
    return Variable.objects.filter(charger__in=chargers).alias(name=Lower("variable")).filter(name__in=lowered)


def _write(rows: list[Variable], *columns: str) -> None:
    """Create `rows`, or replace the values and `columns` of those that exist by now."""
    Variable.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["charger", *NAME],
        update_fields=["value", *columns, "reported_at"],
    )


def _row(charger: int, stored: Variable | None, variable: ReportedVariable) -> Variable:
    """Return the row to write, with the spelling of `stored`, so that the row replaces it."""
    name = variable.name
    row = Variable(charger_id=charger, **{column: getattr(stored or name, column) for column in NAME})
    row.value = _without_secret(name, variable.value)
    for column in DETAILS:
        if (detail := getattr(variable, column)) is not None:
            setattr(row, column, detail)
        elif stored:
            setattr(row, column, getattr(stored, column))
    return row


def _record_changes(changes: Iterable[tuple[Variable, str | None]], source: str) -> None:
    """Store the real ones among `changes`, (stored row, new value without secrets); `source` is their message."""
    VariableChange.objects.bulk_create(
        VariableChange(
            charger_id=row.charger_id,
            **{column: getattr(row, column) for column in NAME},
            old_value=row.value,
            new_value=value,
            source=source,
        )
        for row, value in changes
        if row.value != value and (row.component.casefold(), row.variable.casefold()) not in UNRECORDED
    )


def _beyond_budget(new: list[Key], message: str) -> list[Key]:
    """Return those of the `new` variables that exceed the budgets of their chargers."""
    budget = budgets.BUDGETS["configuration"]
    if not new or not budget.limit:
        return []
    by_charger = defaultdict(list)
    for key in new:
        by_charger[key[0]].append(key)
    counts = Variable.objects.filter(charger__in=by_charger).order_by().values("charger").annotate(stored=Count("pk"))
    stored = dict(counts.values_list("charger", "stored"))
    beyond = []
    for charger, keys in by_charger.items():
        if excess := keys[max(0, budget.limit - stored.get(charger, 0)) :]:
            count = partial(findings.add, charger, message, {budget.finding: len(excess)})
            transaction.on_commit(count, robust=True)
            beyond += excess
    return beyond


def are_incomplete(charger: int) -> bool:
    """Whether `charger` (primary key) has reported variables that were not stored, because its budget is used up."""
    budget = budgets.BUDGETS["configuration"]
    field, kind = budget.finding
    return (
        budget.limit > 0
        and Finding.objects.filter(charger=charger, field=field, kind=kind).exists()
        and Variable.objects.filter(charger=charger).count() >= budget.limit
    )


def accept(charger: int, name: VariableName, value: str, reboot_required: bool, source: str) -> None:
    """Store a `value` that `charger` (primary key) accepted, now or from its next boot, without a secret.

    `source` is the action of the command.
    """
    stored = find(charger, name)
    row = _row(charger, stored, ReportedVariable(name, value, mutability=None))
    row.reboot_required = reboot_required
    if stored:
        _record_changes([(stored, row.value)], source)
    _write([row], "reboot_required")


def forget(charger: int, unknown: Iterable[VariableName], source: str) -> None:
    """Delete variables that `charger` (primary key) says in `source` that it does not have."""
    names = list(unknown)
    keys = set(map(identity, names))
    rows = _rows([charger], names) if names else []
    _delete([row for row in rows if identity(row) in keys], source)


def forget_others(charger: int, known: Iterable[VariableName], source: str) -> None:
    """Delete the variables of `charger` (primary key) that its whole device model `known` in `source` lacks.

    An empty one deletes nothing.
    """
    keys = set(map(identity, known))
    rows = Variable.objects.filter(charger=charger) if keys else []
    _delete([row for row in rows if identity(row) not in keys], source)


def all_attributes(name: VariableName) -> list[VariableName]:
    """Return the names of all attributes of the variable `name`."""
    return [VariableName(**asdict(name) | {"attribute": attribute}) for attribute in ATTRIBUTES]


def record_boot(chargers: Iterable[int]) -> None:
    """Note that accepted values have taken effect, because `chargers` (primary keys) have booted (OCPP 1.6 §4.2)."""
    Variable.objects.filter(charger__in=chargers, reboot_required=True).update(reboot_required=False)


def find(charger: int, name: VariableName) -> Variable | None:
    """Return the value of `charger` (primary key) called `name`, None if it is not known."""
    return next((row for row in _rows([charger], [name]) if identity(row) == identity(name)), None)


def find_all(charger: int, names: Iterable[VariableName]) -> dict[VariableName, Variable]:
    """Return those of the values `names` of `charger` (primary key) that are known, by one query."""
    wanted = {identity(name): name for name in names}
    return {wanted[key]: row for row in _rows([charger], wanted.values()) if (key := identity(row)) in wanted}


def numbers(
    chargers: Iterable[int], *variables: str, component: str = "", instance: str = ""
) -> dict[tuple[int, str], int]:
    """Return {(charger, variable): value} of those values that are natural numbers, such as limits.

    OCPP compares the texts without case; the keys are spelled as in `variables`.
    """
    wanted = {variable.casefold(): variable for variable in variables}
    rows = Variable.objects.filter(charger__in=list(chargers), attribute=ACTUAL).alias(name=Lower("variable"))
    named = {"name__in": list(wanted), "component__iexact": component, "instance__iexact": instance}
    values = ((row.charger_id, row.variable.casefold(), row.value or "") for row in rows.filter(**named))
    return {
        (charger, wanted[name]): int(value)
        for charger, name, value in values
        if value.isdecimal() and len(value) <= MAX_DIGITS
    }


def identity(name: VariableName | Variable) -> Identity:
    """Return what names a value; OCPP compares the texts without case."""
    parts = (getattr(name, column) for column in NAME)
    return tuple(part.casefold() if isinstance(part, str) else part for part in parts)


def _delete(rows: Iterable[Variable], source: str) -> None:
    rows = list(rows)
    _record_changes([(row, None) for row in rows], source)
    Variable.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _without_secret(name: VariableName, value: str | None) -> str | None:
    named = {"component": name.component, "variable": name.variable, "value": value}
    return without_secrets(named)["value"]
