"""Jobs of operators: the forms of intents in their words, and what a command will do before it is sent."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from chargers.models import Charger
from dashboard.forms import Field
from dashboard.labels import LABELS
from dashboard.places import name_of, place
from transactions.models import Transaction

MAX_NAMED = 20  # chargers that a page names before a command is sent to them
MAX_SESSIONS = 100  # in the choice of a session

# What a command does to each charger; `{…}` are its parameters.
EFFECTS: dict[tuple[str, bool | None], Any] = {
    ("start", None): gettext_lazy("The charger begins a session for the ID tag {id_tag}."),
    ("stop", None): gettext_lazy("The charger ends the session {reference}."),
    ("reset", False): gettext_lazy("Each charger ends its sessions in order and restarts."),
    ("reset", True): gettext_lazy("Each charger restarts at once. Its sessions are interrupted."),
    ("unlock", None): gettext_lazy("Each charger releases the cable. A session with this cable ends."),
    ("availability", True): gettext_lazy("New sessions are possible again."),
    ("availability", False): gettext_lazy("No new session can begin. A session under way goes on until it ends."),
    ("trigger", None): gettext_lazy("Each charger sends the message {message}."),
    ("limit", None): gettext_lazy("Power is limited to {amount} {unit}, until you set another limit or clear it."),
    ("read_configuration", None): gettext_lazy("Each charger reports its configuration. Nothing changes."),
    ("fetch_log", None): gettext_lazy("Each charger uploads its log. Nothing changes."),
    ("renew_certificate", None): gettext_lazy("Each charger requests a new certificate."),
}
SWITCHES = {"reset": "is_immediate", "availability": "is_operative"}
# Commands that touch power or firmware. Their forms require a confirmation.
POWER_OR_FIRMWARE = frozenset(
    {
        *("reset", "limit", "availability", "Reset", "ChangeAvailability"),
        *("SetChargingProfile", "ClearChargingProfile"),
        *("UpdateFirmware", "SignedUpdateFirmware", "PublishFirmware", "UnpublishFirmware"),
    }
)
CHOICES: dict[tuple[str, str], list[tuple[str, Any]]] = {
    ("reset", "is_immediate"): [
        ("false", gettext_lazy("After sessions have ended in order")),
        ("true", gettext_lazy("At once, sessions are interrupted")),
    ],
    ("availability", "is_operative"): [
        ("true", gettext_lazy("Usable")),
        ("false", gettext_lazy("Out of service")),
    ],
}
# Intents whose effect does not depend on their parameters.
PLAIN = ("unlock", "read_configuration", "fetch_log", "renew_certificate")
WITH_WHOLE = ("availability", "limit")
FROM_201 = ("id_token_type", "connector_id")  # parameters of intents that chargers of OCPP 1.6 do not know


@dataclass(frozen=True)
class Job:
    """A link to a form: its `intent` with the `values` that are filled in."""

    label: Any
    intent: str
    values: dict[str, str]


# On the page of a charger, in this order.
JOBS = (
    Job(gettext_lazy("Start charging"), "start", {"evse_id": "1"}),
    Job(gettext_lazy("Stop charging"), "stop", {}),
    Job(gettext_lazy("Restart"), "reset", {"is_immediate": "false"}),
    Job(gettext_lazy("Unlock connector"), "unlock", {"evse_id": "1"}),
    Job(gettext_lazy("Set inoperative"), "availability", {"evse_id": "0", "is_operative": "false"}),
    Job(gettext_lazy("Set operative"), "availability", {"evse_id": "0", "is_operative": "true"}),
    Job(gettext_lazy("Request status"), "trigger", {"message": "StatusNotification"}),
    Job(gettext_lazy("Read configuration"), "read_configuration", {}),
)


def needs_confirmation(name: str) -> bool:
    """Whether the form of the intent or the action `name` is followed by a page to confirm it."""
    return name in POWER_OR_FIRMWARE


def effect(name: str, payload: dict[str, Any]) -> str:
    """Say what the intent or the action `name` does to each charger."""
    switch = SWITCHES.get(name)
    text = EFFECTS.get((name, bool(payload.get(switch, False)) if switch else None))
    if text is None:
        return gettext("Each charger gets the command {action}.").format(action=LABELS.get(name, name))
    return str(text).format(**{"unit": "A", **payload})


def choose(name: str, fields: list[Field], charger: Charger | None) -> list[Field]:
    """Offer choices instead of inputs where the values are known: places, sessions, yes or no.

    Leave out what OCPP 1.6 lacks, where the charger speaks it.
    """
    if charger is not None and not charger.version.has_evses:
        fields = [field for field in fields if field.name not in FROM_201]
    for field in fields:
        known = CHOICES.get((name, field.name))
        if known:
            field.kind, field.choices = "choice", list(known)
        elif charger is not None:
            _choose_of(charger, name, field)
        if field.name == "id_token_type":
            field.kind = "text"  # one word, though its schema has no length
    return fields


def _choose_of(charger: Charger, name: str, field: Field) -> None:
    choices: list[tuple[str, Any]] = []
    if field.name == "evse_id":
        choices = _places(charger, name)
        field.label = gettext("EVSE") if charger.version.has_evses else gettext("Connector")
    elif field.name == "reference":
        choices = _sessions(charger)
    if not choices:
        return
    if field.value and field.value not in dict(choices):
        choices.append((field.value, field.value))
    field.kind, field.choices = "choice", choices
    # One that is required has no empty choice on the page.
    if field.is_required and not field.value:
        field.value = choices[0][0]


def _places(charger: Charger, name: str) -> list[tuple[str, str]]:
    """Return the EVSEs that the charger has reported, in 1.6 its connectors, with their statuses."""
    found: dict[int, list[str]] = {}
    for connector in charger.connectors.order_by("evse_id", "connector_id"):
        if connector.evse_id:
            found.setdefault(connector.evse_id, []).append(connector.status)
    has_evses = charger.version.has_evses
    named = [
        (str(number), f"{name_of(has_evses, number, 0 if has_evses else number)} ({', '.join(statuses)})")
        for number, statuses in found.items()
    ]
    whole = [("0", gettext("Whole charger"))] if name in WITH_WHOLE else []
    return whole + named if named else []


def _sessions(charger: Charger) -> list[tuple[str, str]]:
    rows = Transaction.objects.filter(charger=charger, superseded_by=None).ongoing().select_related("charger")
    return [(row.reference, f"{place(row)}: {row.shown_id_tag}") for row in rows.order_by("pk")[:MAX_SESSIONS]]
