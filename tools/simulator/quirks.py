"""Quirks of real chargers, by name: what a charger with one sends instead of a message that conforms to OCPP."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from core.ocpp.timestamps import to_rfc3339

OVERFLOW = 2**32 - 1  # -1 as an unsigned number
SLOW_CLOCK = timedelta(days=20_000)  # back to the years around 1970


@dataclass(frozen=True)
class Quirk:
    """`changes` are by action, "" for each: functions of a copy of the payload, which return the one to send.

    `answers` are functions of the payload of a command that return an answer; nothing is done then.
    `spoil` changes the JSON text of an action; `twice` are actions that are sent twice, with two message ids.
    With `installs` False, firmware is fetched, and its installation fails.
    """

    help: str
    changes: Mapping[str, Callable[[dict], dict]] = field(default_factory=dict)
    spoil: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    twice: frozenset[str] = frozenset()
    answers: Mapping[str, Callable[[dict], dict]] = field(default_factory=dict)
    installs: bool = True

    def changed(self, action: str, payload: dict) -> dict:
        for name in ("", action):
            if change := self.changes.get(name):
                payload = change(json.loads(json.dumps(payload)))
        return payload


def _accepted(payload: dict) -> dict:
    return {"status": "Accepted"}


def _accepted_update(payload: dict) -> dict:
    """The answer has a status if the request has a `firmware`, which those of OCPP 1.6 without a signature lack."""
    return _accepted(payload) if "firmware" in payload else {}


def _accepted_values(payload: dict) -> dict:
    results = [{name: item[name] for name in ("component", "variable")} for item in payload["setVariableData"]]
    return {"setVariableResult": [result | {"attributeStatus": "Accepted"} for result in results]}


ACCEPTED_ONLY = (
    *("CancelReservation", "ChangeAvailability", "ChangeConfiguration", "ClearChargingProfile"),
    *("ExtendedTriggerMessage", "GetLog", "RemoteStartTransaction", "RemoteStopTransaction"),
    *("RequestStartTransaction", "RequestStopTransaction", "ReserveNow", "Reset", "SendLocalList"),
    *("SetChargingProfile", "SignedUpdateFirmware", "TriggerMessage"),
)


def _with(**members: Any) -> Callable[[dict], dict]:
    return lambda payload: payload | members


def _without(member: str) -> Callable[[dict], dict]:
    return lambda payload: {name: value for name, value in payload.items() if name != member}


def _registers(change: Callable[[dict], dict]) -> Callable[[dict], dict]:
    """Change the samples of the energy register."""

    def changed(payload):
        for reading in payload["meterValue"]:
            reading["sampledValue"] = [
                change(sample) if sample.get("measurand", "").startswith("Energy") else sample
                for sample in reading["sampledValue"]
            ]
        return payload

    return changed


def _in_kwh(sample: dict) -> dict:
    return sample | {"value": f"{float(sample['value']) / 1000:.3f}", "unit": "kWh"}


def _with_comma(sample: dict) -> dict:
    return sample | {"value": f"{float(sample['value']):.2f}".replace(".", ",")}


def _as_texts(value: Any) -> Any:
    """`value` with texts in the place of numbers, and numbers in the place of texts of digits."""
    if isinstance(value, dict):
        return {name: _as_texts(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_texts(inner) for inner in value]
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value
    return str(value)


def _earlier(value: Any) -> Any:
    """`value` with the times of a clock that was never set."""
    if isinstance(value, list):
        return [_earlier(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    moved = {name: _earlier(inner) for name, inner in value.items()}
    if "timestamp" in value:
        moved["timestamp"] = to_rfc3339(datetime.fromisoformat(value["timestamp"]) - SLOW_CLOCK)
    return moved


QUIRKS = {
    "no-stop-meter": Quirk("StopTransaction has no meterStop", {"StopTransaction": _without("meterStop")}),
    "register-back": Quirk("meterStop is 0, below meterStart", {"StopTransaction": _with(meterStop=0)}),
    "meter-overflow": Quirk(f"meterStop is {OVERFLOW}", {"StopTransaction": _with(meterStop=OVERFLOW)}),
    "numbers-as-texts": Quirk(
        "numbers are sent as texts, and meter values as numbers",
        {action: _as_texts for action in ("StartTransaction", "StopTransaction", "MeterValues")},
    ),
    "too-long-texts": Quirk(
        "vendor, serial number and info are longer than OCPP allows",
        {
            "BootNotification": _with(chargePointVendor="V" * 29, chargePointSerialNumber="S" * 33),
            "StatusNotification": _with(info="i" * 80),
        },
    ),
    "wrong-clock": Quirk("the clock was never set: all times are 20,000 days ago", {"": _earlier}),
    "no-timestamp": Quirk(
        "StartTransaction and StopTransaction have no timestamp",
        {action: _without("timestamp") for action in ("StartTransaction", "StopTransaction")},
    ),
    "duplicate-start": Quirk(
        "StartTransaction is sent again with another message id", twice=frozenset({"StartTransaction"})
    ),
    "stop-zero": Quirk("StopTransaction has transactionId 0", {"StopTransaction": _with(transactionId=0)}),
    "stop-minus-one": Quirk("StopTransaction has transactionId -1", {"StopTransaction": _with(transactionId=-1)}),
    "no-transaction-id": Quirk("MeterValues have no transactionId", {"MeterValues": _without("transactionId")}),
    "unknown-fields": Quirk(
        "messages have members that OCPP does not define",
        {
            "BootNotification": _with(wifiSignal=-61),
            "StopTransaction": _with(connectorId=1, disconnectReason="unplugged"),
        },
    ),
    "null-members": Quirk(
        "optional members are null",
        {"BootNotification": _with(iccid=None), "StartTransaction": _with(reservationId=None)},
    ),
    "own-words": Quirk(
        "reason and errorCode are not those of OCPP",
        {"StopTransaction": _with(reason="StoppedByEV"), "StatusNotification": _with(errorCode="Error")},
    ),
    "object-for-list": Quirk(
        "meterValue is an object instead of a list",
        {"MeterValues": lambda payload: payload | {"meterValue": payload["meterValue"][0]}},
    ),
    "kwh": Quirk("the energy register is in kWh", {"MeterValues": _registers(_in_kwh)}),
    "comma-decimals": Quirk("the energy register has a decimal comma", {"MeterValues": _registers(_with_comma)}),
    "accepts-only": Quirk(
        "commands are accepted, and nothing is done",
        answers={name: _accepted for name in ACCEPTED_ONLY}
        | {"SetVariables": _accepted_values, "UpdateFirmware": _accepted_update},
    ),
    "installation-fails": Quirk("firmware is fetched, and its installation fails", installs=False),
    "control-characters": Quirk(
        "a raw control character follows the id tag",
        spoil={"StartTransaction": lambda text: text.replace('"idTag":"', '"idTag":"\x03')},
    ),
}
