"""Handle the messages of OCPP 2.0.1 about transactions. Each function answers a batch of CALLs of one action."""

from decimal import Decimal
from typing import Any

import orjson

from commands.actions.ocpp201.id_tokens import id_token_info
from commands.services import remote_starts
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import is_off, parse
from transactions.services import costs, energy, readings, transaction_events
from transactions.services.event_content import Event
from transactions.services.readings import MeterReading
from transactions.services.samples import SIGNED, MeterSample

# {member: column} of an event, of its transactionInfo, EVSE and token, which most events do not have.
MEMBERS = {"offline": "offline", "reservationId": "reservation_id"}
INFO = {"chargingState": "charging_state", "stoppedReason": "stopped_reason", "remoteStartId": "remote_start_id"}
EVSE = {"id": "evse_id", "connectorId": "connector_id"}
TOKEN = {"idToken": "id_token", "type": "id_token_type"}
USUAL = frozenset({"eventType", "meterValue", "timestamp", "triggerReason", "seqNo", "transactionInfo"})
# Members that are stored in columns or with the readings; the others are stored as `details`.
STORED = USUAL | MEMBERS.keys() | {"evse", "idToken"}
STORED_INFO, STORED_TOKEN = INFO.keys() | {"transactionId"}, frozenset(TOKEN)
NO_UNIT: dict[str, Any] = {}
MAX_MULTIPLIER = 30  # the absolute value of an exponent that can be meant


def transaction_event(calls: list[Call]) -> list[dict[str, Any]]:
    """Never refuse an event: what it reports has happened already (E01). A repeated one changes nothing."""
    decoded = [event(call) for call in calls]
    outcomes = transaction_events.store(decoded)
    remote_starts.link_by_id(
        (one.call.charger, one.remote_start_id, outcome.transaction_id)
        for one, outcome in zip(decoded, outcomes, strict=True)
        if one.remote_start_id is not None and outcome.is_new
    )
    costs_so_far = costs.running({outcome.transaction_id for outcome in outcomes if outcome.has_tariffs})
    return [_answer(outcome, costs_so_far.get(outcome.transaction_id)) for outcome in outcomes]


def _answer(outcome: transaction_events.Outcome, cost: Decimal | None) -> dict[str, Any]:
    """Answer with the verdict on a token, and the cost so far or in total; 0.00 is free of charge (I02, I03)."""
    info = {"idTokenInfo": id_token_info(outcome.verdict)} if outcome.verdict else {}
    return ({} if cost is None else {"totalCost": float(cost)}) | info


def event(call: Call) -> Event:
    """Decode a TransactionEvent, and record what is odd about its time."""
    sent, raw = call.payload, call.payload["timestamp"]
    info, moment = sent["transactionInfo"], parse(raw)
    others = {} if len(info) == 1 and USUAL.issuperset(sent) else _others(sent, info)
    if is_off(moment, call.received_at):
        call.find("timestamp", "clock", raw)
        others["clock_skew"] = True
    return Event(
        call,
        reference=info["transactionId"],
        seq_no=sent["seqNo"],
        event_type=sent["eventType"],
        time=moment or call.received_at,
        raw_time=raw[:64],
        trigger_reason=sent["triggerReason"],
        others=others,
        values=_readings(call, sent.get("meterValue", ())),
    )


def _others(sent: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Return {column: value} of the members that most events do not have."""
    token = sent.get("idToken", {})
    parts = (sent, MEMBERS), (info, INFO), (sent.get("evse", {}), EVSE), (token, TOKEN)
    others = {column: part[member] for part, columns in parts for member, column in columns.items() if member in part}
    if not others.get("offline", True):
        del others["offline"]
    if details := _details(sent, info, token):
        others["details"] = details
    return others


def _details(sent: dict[str, Any], info: dict[str, Any], token: dict[str, Any]) -> str:
    """Return the members that no column holds, as JSON, "" without any."""
    if STORED.issuperset(sent) and STORED_INFO.issuperset(info) and STORED_TOKEN.issuperset(token):
        return ""
    parts = (
        ("", sent.keys() - STORED, sent),
        ("transactionInfo", info.keys() - STORED_INFO, info),
        ("idToken", token.keys() - STORED_TOKEN, token),
    )
    others: dict[str, Any] = {}
    for name, members, whole in parts:
        if members:
            left = {member: whole[member] for member in sorted(members)}
            others |= {name: left} if name else left
    return orjson.dumps(without_secrets(others)).decode() if others else ""


def meter_values(calls: list[Call]) -> list[dict[str, Any]]:
    """Store all readings (J01). They belong to the transaction that is open on their EVSE, if there is one."""
    readings.store([meter_readings(call) for call in calls])
    return [{} for _ in calls]


def meter_readings(call: Call, transaction_id: int | None = None) -> readings.Readings:
    """Decode a MeterValues, whose readings an operator may have assigned to a transaction."""
    values = _readings(call, call.payload["meterValue"])
    return readings.Readings(call, call.payload["evseId"], values, transaction_id, "meterValue")


def _readings(call: Call, values: list[dict[str, Any]] | tuple[()]) -> list[MeterReading]:
    """Decode a list of MeterValueType."""
    return [MeterReading(value["timestamp"], _samples(call, value["sampledValue"])) for value in values]


def _samples(call: Call, values: list[dict[str, Any]]) -> list[MeterSample]:
    """Decode a list of SampledValueType. The signed form of one is a sample of its own, kept verbatim.

    The default unit is Wh for energy; other measurands have none. A value with an implausible multiplier is kept as
    sent, in a unit that nothing counts.
    """
    samples = []
    for sent in values:
        member, value = sent.get, sent["value"]
        measurand = member("measurand", energy.IMPORT_REGISTER)
        measured = member("unitOfMeasure") or NO_UNIT
        unit = measured["unit"] if "unit" in measured else "Wh" if measurand.startswith("Energy") else ""
        if multiplier := measured.get("multiplier", 0):
            if abs(multiplier) > MAX_MULTIPLIER:
                call.find("meterValue.sampledValue.unitOfMeasure.multiplier", "out_of_range", multiplier)
                unit = f"{unit}*10^{multiplier}"
            else:
                value = _scaled(value, multiplier)
        if type(value) is float and value.is_integer() and abs(value) < 2**53:
            value = int(value)  # a whole number is read faster
        sample = MeterSample(
            str(value),
            measurand,
            unit,
            member("phase", ""),
            member("context", "Sample.Periodic"),
            member("location", "Outlet"),
            member("format", "Raw"),
        )
        samples.append(sample)
        if (signed := member("signedMeterValue")) is not None:
            samples.append(sample._replace(value=orjson.dumps(signed).decode(), unit="", format=SIGNED))
    return samples


def _scaled(value: Any, multiplier: int) -> Any:
    """Return a number times 10 to the `multiplier` as a text; a text stands for an unreadable sample."""
    if isinstance(value, str):
        return value
    return f"{Decimal(str(value)).scaleb(multiplier):f}"
