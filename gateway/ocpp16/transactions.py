"""Handle the messages of OCPP 1.6 about transactions. Each function answers a batch of CALLs of one action."""

from typing import Any

from commands.actions.ocpp16.local_list import id_tag_info
from commands.services import remote_starts
from core.ocpp.calls import Call
from core.ocpp.timestamps import clock_is_off, parse_or
from transactions.services import energy, id_tokens, readings, starts, stops
from transactions.services.readings import MeterReading
from transactions.services.samples import MeterSample


def authorize(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with the verdict on a token (OCPP 1.6 §4.1)."""
    verdicts = id_tokens.authorize([id_tokens.Presented(call, call.payload["idTag"]) for call in calls])
    return [{"idTagInfo": id_tag_info(verdict)} for verdict in verdicts]


def start_transaction(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with a transaction id even for a refused token: the charger may have started offline (OCPP 1.6 §4.8)."""
    begun = [start(call) for call in calls]
    started = starts.store(begun)
    remote_starts.link(begun, [one.transaction_id for one in started])
    return [{"idTagInfo": id_tag_info(one.verdict), "transactionId": one.transaction_id} for one in started]


def start(call: Call) -> starts.Start:
    """Decode a StartTransaction, and record what is odd about its time and its register."""
    request = call.payload
    energy.check(call, "meterStart")
    return starts.Start(
        call,
        evse_id=request["connectorId"],
        connector_id=request["connectorId"],
        id_tag=request["idTag"],
        meter_wh=request.get("meterStart"),
        raw_meter=call.as_sent.get("meterStart", ""),
        reservation_id=request.get("reservationId"),
        **_time(call),
    )


def _time(call: Call) -> dict[str, Any]:
    raw = call.payload["timestamp"]
    has_skew = clock_is_off(raw, call.received_at)
    if has_skew:
        call.find("timestamp", "clock", raw)
    return {"time": parse_or(raw, call.received_at), "raw_time": raw[:64], "has_clock_skew": has_skew}


def stop_transaction(calls: list[Call]) -> list[dict[str, Any]]:
    """Never refuse a stop: the charger has stopped already (OCPP 1.6 §4.10). A second stop changes nothing."""
    verdicts = stops.store([stop(call) for call in calls])
    return [{"idTagInfo": id_tag_info(verdict)} if verdict else {} for verdict in verdicts]


def stop(call: Call) -> stops.Stop:
    """Decode a StopTransaction, and record what is odd about its time and its register."""
    request = call.payload
    energy.check(call, "meterStop")
    return stops.Stop(
        call,
        transaction_id=request.get("transactionId"),
        meter_wh=request.get("meterStop"),
        raw_meter=call.as_sent.get("meterStop", ""),
        reason=request.get("reason", "Local"),  # the default of OCPP 1.6 §6.49
        id_tag=request.get("idTag"),
        values=_readings(request.get("transactionData", [])),
        member="transactionData",
        **_time(call),
    )


def meter_values(calls: list[Call]) -> list[dict[str, Any]]:
    """Store all readings; link them if the named transaction belongs to the charger (OCPP 1.6 §4.7)."""
    readings.store([meter_readings(call) for call in calls])
    return [{} for _ in calls]


def meter_readings(call: Call) -> readings.Readings:
    """Decode a MeterValues."""
    member = call.payload.get
    values = _readings(call.payload["meterValue"])
    return readings.Readings(call, member("connectorId"), values, member("transactionId"), "meterValue")


def _readings(values: list[dict[str, Any]]) -> list[MeterReading]:
    """Decode a list of MeterValue (OCPP 1.6 §7.33)."""
    return [MeterReading(value["timestamp"], [_sample(sent) for sent in value["sampledValue"]]) for value in values]


def _sample(sent: dict[str, Any]) -> MeterSample:
    """Decode a SampledValue (OCPP 1.6 §7.43). The default unit is Wh for energy; other measurands have none."""
    member = sent.get
    measurand = member("measurand", energy.IMPORT_REGISTER)
    return MeterSample(
        sent["value"],
        measurand,
        member("unit", "Wh" if measurand.startswith("Energy") else ""),
        member("phase", ""),
        member("context", "Sample.Periodic"),
        member("location", "Outlet"),
        member("format", "Raw"),
    )
