"""Handlers of the messages about the charger itself. Each handles a batch of one action, see `chargers.registry`."""

import logging
from collections import defaultdict

from django.conf import settings

from chargers import budgets, events, vendors
from chargers.models import Charger, ConfigurationKey, DataTransfer, HeldSerial, SecurityEvent
from chargers.registry import handles
from chargers.retries import records_of
from core.db import bulk_sql, sealing
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import clamp, now_on_the_wire, parse_or

logger = logging.getLogger(__name__)

BOX_SERIAL = "chargeBoxSerialNumber"
BOOT = """
UPDATE chargers_charger c SET
    vendor = s.vendor, model = s.model, serial_number = s.serial_number,
    charge_box_serial_number = s.charge_box_serial_number, firmware_version = s.firmware_version,
    iccid = s.iccid, imsi = s.imsi, meter_type = s.meter_type, meter_serial_number = s.meter_serial_number,
    last_boot_at = s.received_at, registration_status = c.boot_policy
FROM json_to_recordset(%s) AS s(
    id bigint, vendor text, model text, serial_number text, charge_box_serial_number text,
    firmware_version text, iccid text, imsi text, meter_type text, meter_serial_number text,
    received_at timestamptz)
WHERE c.id = s.id
RETURNING c.id, c.boot_policy
"""

# The first charger that sends a serial number holds it, unless the number is the id of another charger.
HOLD_SERIALS = """
INSERT INTO chargers_heldserial (charger_id, serial)
SELECT DISTINCT ON (s.serial) s.charger, s.serial FROM json_to_recordset(%s) AS s(n int, charger bigint, serial text)
WHERE NOT EXISTS (SELECT FROM chargers_heldserial h WHERE h.serial = s.serial)
    AND NOT EXISTS (SELECT FROM chargers_charger c WHERE c.charger_id = s.serial AND c.id <> s.charger)
ORDER BY s.serial, s.n ON CONFLICT (serial) DO NOTHING RETURNING charger_id
"""
# A charger still holds some former serial numbers, because it may leave one out of a BootNotification, or send
# another one after a repair.
FREE_SERIALS = """
DELETE FROM chargers_heldserial WHERE id IN (
    SELECT id FROM (
        SELECT h.id, row_number() OVER (PARTITION BY h.charger_id ORDER BY h.id DESC) AS nth
        FROM chargers_heldserial h JOIN chargers_charger c ON c.id = h.charger_id
        WHERE c.id = ANY(%s) AND h.serial NOT IN (c.serial_number, c.charge_box_serial_number)
    ) AS former WHERE nth > %s
)
"""

# The status received last is stored, because the charger's clock may be wrong. A status is skipped only if its time
# is older than the stored one and lies in the last time offline, because it was queued then. One minute is added
# before, because a lost connection is noticed by a ping up to a minute later. The CASE reads the charger's row only
# for an older time.
STATUS = """
INSERT INTO chargers_connector AS c (charger_id, connector_id, status, error_code, info, vendor_id,
    vendor_error_code, timestamp, raw_timestamp, received_at)
SELECT * FROM json_to_recordset(%s) AS s(charger bigint, connector_id int, status text, error_code text,
    info text, vendor_id text, vendor_error_code text, timestamp timestamptz, raw_timestamp text,
    received_at timestamptz)
ON CONFLICT (charger_id, connector_id) DO UPDATE SET
    status = excluded.status, error_code = excluded.error_code, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code,
    timestamp = excluded.timestamp, raw_timestamp = excluded.raw_timestamp, received_at = excluded.received_at,
    scheduled_availability = CASE (excluded.status = 'Unavailable')
        WHEN (c.scheduled_availability = 'Inoperative') THEN '' ELSE c.scheduled_availability END
WHERE CASE WHEN excluded.timestamp >= c.timestamp THEN true ELSE NOT EXISTS (
    SELECT FROM chargers_charger h WHERE h.id = excluded.charger_id
        AND excluded.timestamp >= h.disconnected_at - interval '1 minute' AND excluded.timestamp < h.connected_at) END
RETURNING charger_id, connector_id
"""

CONNECTORS = "SELECT charger_id, connector_id FROM chargers_connector WHERE charger_id = ANY(%s)"
STATUS_EVENT_FIELDS = ("connector_id", "status", "error_code", "info", "vendor_id", "vendor_error_code", "timestamp")

TRANSFER_STATUS = """
UPDATE chargers_charger c SET {column} = s.status, {column}_at = s.received_at
FROM json_to_recordset(%s) AS s(id bigint, status text, received_at timestamptz)
WHERE c.id = s.id
"""


@handles("BootNotification")
def boot_notification(calls):
    """Answer by the operator's policy for the charger, and clear `reboot_required` of its keys (OCPP 1.6 §4.2)."""
    policies = dict(bulk_sql.execute(BOOT, [_boot_row(call) for call in calls]))
    _hold_serials(calls)
    ConfigurationKey.objects.filter(charger__in=policies, reboot_required=True).update(reboot_required=False)
    return [_registration(policies[call.charger]) for call in calls]


def _hold_serials(calls):
    names = ("chargePointSerialNumber", BOX_SERIAL)
    sent = [(call.charger, call.payload.get(name)) for call in calls for name in names]
    usable = [(charger, serial) for charger, serial in sent if serial and len(serial) <= HeldSerial.MAX_LENGTH]
    rows = [{"n": n, "charger": charger, "serial": serial} for n, (charger, serial) in enumerate(usable)]
    if new := bulk_sql.execute(HOLD_SERIALS, rows):
        bulk_sql.query(FREE_SERIALS, [bulk_sql.array({pk for (pk,) in new}), HeldSerial.MAX_FORMER])


def _registration(status):
    """Return the answer for the registration `status`. `interval` is in seconds: between heartbeats if accepted,
    otherwise until the next BootNotification."""
    accepted = status == "Accepted"
    interval = settings.OCPP_HEARTBEAT_INTERVAL if accepted else settings.OCPP_BOOT_RETRY_INTERVAL
    return {"currentTime": now_on_the_wire(), "interval": interval, "status": status}


def _boot_row(call):
    member = call.payload.get
    return {
        "id": call.charger,
        "vendor": member("chargePointVendor"),
        "model": member("chargePointModel"),
        "serial_number": member("chargePointSerialNumber", ""),
        "charge_box_serial_number": member(BOX_SERIAL, ""),
        "firmware_version": member("firmwareVersion", ""),
        "iccid": member("iccid", ""),
        "imsi": member("imsi", ""),
        "meter_type": member("meterType", ""),
        "meter_serial_number": member("meterSerialNumber", ""),
        "received_at": call.received_at,
    }


@handles("Heartbeat")
def heartbeat(calls):
    """Answer with the time (OCPP 1.6 §4.6). `last_seen` is written by the inbox, as for every frame."""
    return [{"currentTime": now_on_the_wire()} for _ in calls]


@handles("StatusNotification")
def status_notification(calls):
    """Store the status of connectors (OCPP 1.6 §4.9)."""
    rows = {(row["charger"], row["connector_id"]): row for row in map(_status_row, _within_connector_limit(calls))}
    for key in bulk_sql.execute(STATUS, list(rows.values())):
        row = rows[key]
        events.record_event("connector.status", row["charger"], **{name: row[name] for name in STATUS_EVENT_FIELDS})
    return [{} for _ in calls]


def _within_connector_limit(calls):
    """Return those of `calls` whose connector may be stored. Only ids above the limit need a query."""
    limit = budgets.BUDGETS["connectors"].limit
    high = {call.charger for call in calls if limit and call.payload["connectorId"] > limit}
    if not high:
        return calls
    known = defaultdict(set)
    for charger, connector_id in bulk_sql.query(CONNECTORS, [bulk_sql.array(sorted(high))]):
        known[charger].add(connector_id)
    return [call for call in calls if _has_room(call, known[call.charger], limit)]


def _has_room(call, known, limit):
    connector_id = call.payload["connectorId"]
    if connector_id <= limit or connector_id in known or len(known) < limit:
        return True
    call.find(*budgets.BUDGETS["connectors"].finding, connector_id)
    return False


def _status_row(call):
    member = call.payload.get
    return {
        "charger": call.charger,
        "connector_id": member("connectorId"),
        "status": member("status"),
        "error_code": member("errorCode"),
        "info": without_secrets(member("info", "")),
        "vendor_id": member("vendorId", ""),
        "vendor_error_code": member("vendorErrorCode", ""),
        "timestamp": clamp(member("timestamp"), call.received_at),
        "raw_timestamp": member("timestamp", "")[:64],
        "received_at": call.received_at,
    }


def _transfer_status(action, column):
    """Register the handler that stores the latest status of one kind of transfer."""
    statement = TRANSFER_STATUS.format(column=column)

    @handles(action)
    def handle(calls):
        rows = [{"id": c.charger, "status": c.payload["status"], "received_at": c.received_at} for c in calls]
        bulk_sql.execute(statement, rows)
        return [{} for _ in calls]

    handle.__name__ = handle.__qualname__ = action


_transfer_status("FirmwareStatusNotification", "firmware_status")  # OCPP 1.6 §4.5
_transfer_status("DiagnosticsStatusNotification", "diagnostics_status")  # OCPP 1.6 §4.4
_transfer_status("SignedFirmwareStatusNotification", "firmware_status")  # security whitepaper §5.19
_transfer_status("LogStatusNotification", "log_status")  # security whitepaper §5.13


@handles("SecurityEventNotification")
def security_event_notification(calls):
    """Store security events within the budget (security whitepaper §5.15)."""
    known = records_of(SecurityEvent, calls, _is_same_event)
    new = [call for call in calls if call.key not in known]
    stored = budgets.within_rate(new, "security_events")
    SecurityEvent.objects.bulk_create(map(_security_event, stored))
    for call in stored:
        fields = {"type": call.payload["type"], "tech_info": _tech_info(call)}
        timestamp = parse_or(call.payload["timestamp"], call.received_at)
        events.record_event("security.event", call.charger, **fields, timestamp=timestamp)
    return [{} for _ in calls]


def _security_event(call):
    return SecurityEvent(
        charger_id=call.charger,
        type=call.payload["type"],
        timestamp=parse_or(call.payload["timestamp"], call.received_at),
        raw_timestamp=call.payload["timestamp"][:64],
        tech_info=_tech_info(call),
        call_id=call.message_id,
        received_at=call.received_at,
    )


def _is_same_event(event, call):
    member = call.payload.get
    sent = member("type"), member("timestamp")[:64], _tech_info(call)
    return (event.type, event.raw_timestamp, event.tech_info) == sent


def _tech_info(call):
    return without_secrets(call.payload.get("techInfo", ""))


@handles("DataTransfer")
def data_transfer(calls):
    """Answer by the function that is registered in `chargers.vendors`, else `UnknownVendorId` (OCPP 1.6 §4.3)."""
    known = records_of(DataTransfer, calls, _is_same_transfer)
    new = [call for call in calls if call.key not in known]
    charger_ids = dict(Charger.objects.filter(pk__in={call.charger for call in new}).values_list("pk", "charger_id"))
    transfers = known | {call.key: _process_transfer(call, charger_ids.get(call.charger)) for call in new}
    DataTransfer.objects.bulk_create(transfers[call.key] for call in budgets.within_rate(new, "data_transfers"))
    return [_transfer_answer(transfers[call.key]) for call in calls]


def _transfer_answer(transfer):
    data = _answer_data(transfer)
    return {"status": transfer.status} | ({"data": data} if data else {})


def _is_same_transfer(transfer, call):
    member = call.payload.get
    sent = member("vendorId"), member("messageId", ""), without_secrets(member("data", ""))
    return (transfer.vendor_id, transfer.message_id, transfer.data) == sent


def _answer_data(transfer):
    """Return the data of a stored answer, "" if no key can decrypt it."""
    try:
        return transfer.sealed_answer.opened() if transfer.sealed_answer else transfer.answered_data
    except sealing.Unreadable as error:
        logger.warning("A repeated DataTransfer is answered without its data, which no key can decrypt: %s", error)
        return ""


def _process_transfer(call, charger_id):
    member = call.payload.get
    status, answered = vendors.answer(charger_id, member("vendorId"), member("messageId", ""), member("data", ""))
    return DataTransfer(
        charger_id=call.charger,
        vendor_id=member("vendorId"),
        message_id=member("messageId", ""),
        data=without_secrets(member("data", "")),
        status=status,
        answered_data=without_secrets(answered or ""),
        sealed_answer=answered if without_secrets(answered) != answered else None,
        call_id=call.message_id,
        received_at=call.received_at,
    )
