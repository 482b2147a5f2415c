"""The device model of chargers: what they reported and accepted. A configuration key of OCPP 1.6 has no component."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from django.db import transaction

from chargers.models import Variable
from chargers.models.variables import ACTUAL, NAME, READ_WRITE
from chargers.services import budgets, findings
from core.ocpp.redaction import without_secrets

Identity = tuple[str | int | None, ...]


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
    name: VariableName
    value: str | None
    mutability: str = READ_WRITE
    characteristics: dict[str, Any] | None = None


def report(charger: int, reported: Iterable[ReportedVariable], message: str, is_whole: bool = False) -> None:
    """Store `reported` of `charger` (primary key), without secrets.

    Variables beyond the budget are counted as findings in `message`. If the report is the whole device model, the
    other variables are deleted, unless it is empty.
    """
    wanted = {_identity(variable.name): variable for variable in reported}
    stored = {_identity(row): row for row in Variable.objects.filter(charger=charger)}
    if is_whole and wanted:
        _delete([stored.pop(identity) for identity in stored.keys() - wanted.keys()])
    for identity in _beyond_budget(charger, [new for new in wanted if new not in stored], len(stored), message):
        del wanted[identity]
    Variable.objects.bulk_create(
        [_row(charger, stored.get(identity), variable) for identity, variable in wanted.items()],
        update_conflicts=True,
        unique_fields=["charger", *NAME],
        update_fields=["value", "mutability", "characteristics", "reported_at"],
    )


def _row(charger: int, stored: Variable | None, variable: ReportedVariable) -> Variable:
    """Return the row to write, with the spelling of `stored`, so that the row replaces it."""
    name = variable.name
    return Variable(
        charger_id=charger,
        **{column: getattr(stored or name, column) for column in NAME},
        value=_without_secret(name, variable.value),
        mutability=variable.mutability,
        characteristics=variable.characteristics,
    )


def _beyond_budget(charger: int, new: list[Identity], stored: int, message: str) -> list[Identity]:
    """Return those of the `new` variables that exceed the budget of `charger`, which has `stored` others."""
    budget = budgets.BUDGETS["configuration"]
    excess = new[max(0, budget.limit - stored) :] if budget.limit else []
    if excess:
        count = partial(findings.add, charger, message, {budget.finding: len(excess)})
        transaction.on_commit(count, robust=True)
    return excess


def accept(charger: int, name: VariableName, value: str, reboot_required: bool) -> None:
    """Store a `value` that `charger` (primary key) accepted, now or from its next boot, without a secret."""
    row = find(charger, name) or Variable(charger_id=charger, **asdict(name))
    row.value, row.reboot_required = _without_secret(name, value), reboot_required
    row.save()


def forget(charger: int, unknown: Iterable[VariableName]) -> None:
    """Delete variables that `charger` (primary key) says it does not have."""
    names = {_identity(name) for name in unknown}
    _delete([row for row in Variable.objects.filter(charger=charger) if _identity(row) in names])


def record_boot(chargers: Iterable[int]) -> None:
    """Note that accepted values have taken effect, because `chargers` (primary keys) have booted (OCPP 1.6 §4.2)."""
    Variable.objects.filter(charger__in=chargers, reboot_required=True).update(reboot_required=False)


def find(charger: int, name: VariableName) -> Variable | None:
    """Return the value of `charger` (primary key) called `name`, None if it is not known."""
    rows = Variable.objects.filter(charger=charger, variable__iexact=name.variable)
    return next((row for row in rows if _identity(row) == _identity(name)), None)


def numbers(chargers: Iterable[int], *variables: str, component: str = "") -> dict[tuple[int, str], int]:
    """Return {(charger, variable): value} of those values that are natural numbers."""
    rows = Variable.objects.filter(charger__in=list(chargers), component=component, variable__in=variables)
    values = ((row.charger_id, row.variable, row.value or "") for row in rows.filter(attribute=ACTUAL))
    return {(charger, variable): int(value) for charger, variable, value in values if value.isdecimal()}


def _identity(name: VariableName | Variable) -> Identity:
    """Return what names a value; OCPP compares the texts without case."""
    parts = (getattr(name, column) for column in NAME)
    return tuple(part.casefold() if isinstance(part, str) else part for part in parts)


def _delete(rows: Iterable[Variable]) -> None:
    Variable.objects.filter(pk__in=[row.pk for row in rows]).delete()


def _without_secret(name: VariableName, value: str | None) -> str | None:
    named = {"component": name.component, "variable": name.variable, "value": value}
    return without_secrets(named)["value"]
