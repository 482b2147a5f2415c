"""Suggestions for the fields of a command's form: what is known of the charger, and what the library holds."""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from chargers import standard_variables
from chargers.models import Charger, Variable
from chargers.models.variables import ACTUAL
from commands.models import ChargingProfile
from dashboard.forms import Field, leaves, path_of
from dashboard.places import name_of, place
from transactions.models import Transaction

MOST = 500  # suggestions for one kind of field
Option = tuple[Any, str]  # value, description


@dataclass(frozen=True)
class Picker:
    """Suggestions for the fields whose path ends as `path` says; the numbers of list items count as absent.

    `options` returns the pairs of value and description for a charger, which is None for a batch.
    """

    name: str
    path: re.Pattern[str]
    options: Callable[[Charger | None], list[Option]] = field(repr=False)


def _evses(charger: Charger | None) -> list[Option]:
    known = charger.connectors.filter(evse_id__gt=0).values_list("evse_id", flat=True) if charger else ()
    has_evses = charger is not None and charger.version.has_evses
    return [(number, name_of(has_evses, number, 0 if has_evses else number)) for number in sorted(set(known))]


def _connectors(charger: Charger | None) -> list[Option]:
    """Suggest the numbers of connectors, each with the EVSEs that have one of this number."""
    known = charger.connectors.filter(connector_id__gt=0) if charger else ()
    places = defaultdict(list)
    for connector in known:
        places[connector.connector_id].append(place(connector))
    return [(number, ", ".join(described)) for number, described in sorted(places.items())]


def _transactions(charger: Charger | None) -> list[Option]:
    if charger is None:
        return []
    under_way = Transaction.objects.filter(charger=charger, superseded_by=None).ongoing().select_related("charger")
    return [(session.reference, f"{session.shown_id_tag}, {place(session)}") for session in under_way[:MOST]]


def _components(charger: Charger | None) -> list[Option]:
    rows = charger.variables.exclude(component="").values_list("component", flat=True) if charger else ()
    return [(component, "") for component in sorted(set(rows))[:MOST]]


def _variables(charger: Charger | None) -> list[Option]:
    """Suggest the variables with component, mutability, data type and limits, as far as they were reported."""
    rows = charger.variables.filter(attribute=ACTUAL) if charger else ()
    described = defaultdict(list)
    for row in rows:
        described[row.variable].append(" ".join(filter(None, [row.component, row.mutability, *limits(row)])))
    return [(name, "; ".join(dict.fromkeys(texts))[:200]) for name, texts in sorted(described.items())[:MOST]]


def facts(variable: Variable) -> dict[str, Any]:
    """Return the characteristics of a variable as its charger reported them, or else as OCPP 2.0.1 defines them."""
    standard = standard_variables.find(variable.component, variable.variable, variable.instance)
    defined = {} if standard is None else {name: value for name, value in asdict(standard).items() if value}
    reported = {name: value for name, value in (variable.characteristics or {}).items() if value is not None}
    return reported or defined


def limits(variable: Variable) -> list[str]:
    """Return the data type, the range with its unit, and the allowed values of a variable, as far as known."""
    known = facts(variable)
    span = _span(known.get("min_limit"), known.get("max_limit"))
    unit, listed = known.get("unit") or "", ", ".join(values_of(variable))
    return [text for text in (known.get("data_type") or "", f"{span} {unit}".strip(), listed) if text]


def values_of(variable: Variable) -> list[str]:
    """Return the values of which a variable has one or several, [] if it is not a choice."""
    return list(facts(variable).get("values_list") or ())


def _span(lowest: float | None, highest: float | None) -> str:
    """Write a range, of which either end may be open."""
    if lowest is None:
        return "" if highest is None else f"≤ {highest:g}"
    return f"≥ {lowest:g}" if highest is None else f"{lowest:g}–{highest:g}"


def _profiles(charger: Charger | None) -> list[Option]:
    """Suggest the profiles of the library, which a command names by their id alone."""
    return [(profile.pk, profile.description) for profile in ChargingProfile.objects.all()[:MOST]]


def _none(charger: Charger | None) -> list[Option]:
    """Suggest nothing yet, because a script searches while the user types."""
    return []


TOKENS = "tokens"
PICKERS = (
    Picker("evses", re.compile(r"(.*\.)?(evseId|evse\.id|evse_id)"), _evses),
    Picker("connectors", re.compile(r"(.*\.)?(connectorId|connector_id)"), _connectors),
    Picker("transactions", re.compile(r"(.*\.)?(transactionId|reference)"), _transactions),
    Picker("components", re.compile(r"(.*\.)?(component|display)\.name"), _components),
    Picker("variables", re.compile(r"(.*\.)?variable\.name|key"), _variables),
    Picker("profiles", re.compile(r"(csChargingProfiles|chargingProfile)\.(chargingProfileId|id)"), _profiles),
    Picker(TOKENS, re.compile(r"(.*\.)?(idToken\.idToken|groupIdToken\.idToken|idTag|parentIdTag|id_tag)"), _none),
)


def add(fields: list[Field], charger: Charger | None) -> dict[str, list[Option]]:
    """Set `picker` of the fields that have suggestions; return {name of the picker: options} of those in use."""
    used = {picker.name: picker for leaf in leaves(fields) if (picker := _picker_of(leaf))}
    return {name: picker.options(charger) for name, picker in used.items()}


def _picker_of(leaf: Field) -> Picker | None:
    found = next((picker for picker in PICKERS if picker.path.fullmatch(path_of(leaf.name))), None)
    if found:
        leaf.picker = found.name
        leaf.kind = "text" if leaf.kind == "box" else leaf.kind  # because a box cannot have suggestions
        # The member beside an id token that names its type.
        leaf.fills = {"idToken": "type", "id_tag": "id_token_type"}.get(leaf.name.rpartition(".")[2], "")
    return found
