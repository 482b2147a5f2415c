"""What a charger says of itself. Each function settles a batch of one action, see `chargers.registry`."""

from django.conf import settings

from chargers import recordset
from chargers.registry import handles
from chargers.times import bounded, now_on_the_wire

BOOT = """
UPDATE chargers_charger c SET
    vendor = s.vendor, model = s.model, serial_number = s.serial_number,
    charge_box_serial_number = s.charge_box_serial_number, firmware_version = s.firmware_version,
    iccid = s.iccid, imsi = s.imsi, meter_type = s.meter_type, meter_serial_number = s.meter_serial_number,
    last_boot_at = s.received_at
FROM json_to_recordset(%s) AS s(
    id bigint, vendor text, model text, serial_number text, charge_box_serial_number text,
    firmware_version text, iccid text, imsi text, meter_type text, meter_serial_number text,
    received_at timestamptz)
WHERE c.id = s.id
"""

# The newest by the charger's own clock stays, ties by arrival: queued notifications come late and out of order.
STATUS = """
INSERT INTO chargers_connector AS c (charger_id, connector_id, status, error_code, info, vendor_id,
    vendor_error_code, timestamp, raw_timestamp, received_at)
SELECT * FROM json_to_recordset(%s) AS s(charger bigint, connector_id int, status text, error_code text,
    info text, vendor_id text, vendor_error_code text, timestamp timestamptz, raw_timestamp text,
    received_at timestamptz)
ON CONFLICT (charger_id, connector_id) DO UPDATE SET
    status = excluded.status, error_code = excluded.error_code, info = excluded.info,
    vendor_id = excluded.vendor_id, vendor_error_code = excluded.vendor_error_code,
    timestamp = excluded.timestamp, raw_timestamp = excluded.raw_timestamp, received_at = excluded.received_at
WHERE excluded.timestamp >= c.timestamp
"""

TRANSFER_STATUS = """
UPDATE chargers_charger c SET {column} = s.status, {column}_at = s.received_at
FROM json_to_recordset(%s) AS s(id bigint, status text, received_at timestamptz)
WHERE c.id = s.id
"""


@handles("BootNotification")
def boot_notification(calls):
    """OCPP 1.6 §4.2. A charger that got past the handshake is accepted."""
    recordset.execute(BOOT, [_boot_row(call) for call in calls])
    return [
        {
            "currentTime": now_on_the_wire(),
            "interval": settings.OCPP_HEARTBEAT_INTERVAL,
            "status": "Accepted",
        }
        for _ in calls
    ]


def _boot_row(call):
    told = call.payload.get
    return {
        "id": call.charger,
        "vendor": told("chargePointVendor"),
        "model": told("chargePointModel"),
        "serial_number": told("chargePointSerialNumber", ""),
        "charge_box_serial_number": told("chargeBoxSerialNumber", ""),
        "firmware_version": told("firmwareVersion", ""),
        "iccid": told("iccid", ""),
        "imsi": told("imsi", ""),
        "meter_type": told("meterType", ""),
        "meter_serial_number": told("meterSerialNumber", ""),
        "received_at": call.received_at,
    }


@handles("Heartbeat")
def heartbeat(calls):
    """OCPP 1.6 §4.6. `last_seen` is written for every frame of any kind, so the time is all that is left."""
    return [{"currentTime": now_on_the_wire()} for _ in calls]


@handles("StatusNotification")
def status_notification(calls):
    """OCPP 1.6 §4.9."""
    recordset.execute(STATUS, [_status_row(call) for call in calls])
    return [{} for _ in calls]


def _status_row(call):
    told = call.payload.get
    return {
        "charger": call.charger,
        "connector_id": told("connectorId"),
        "status": told("status"),
        "error_code": told("errorCode"),
        "info": told("info", ""),
        "vendor_id": told("vendorId", ""),
        "vendor_error_code": told("vendorErrorCode", ""),
        "timestamp": bounded(told("timestamp"), call.received_at),
        "raw_timestamp": told("timestamp", "")[:64],
        "received_at": call.received_at,
    }


@handles("FirmwareStatusNotification")
def firmware_status_notification(calls):
    """OCPP 1.6 §4.5."""
    return _transfer_status("firmware_status", calls)


@handles("DiagnosticsStatusNotification")
def diagnostics_status_notification(calls):
    """OCPP 1.6 §4.4."""
    return _transfer_status("diagnostics_status", calls)


def _transfer_status(column, calls):
    rows = [{"id": call.charger, "status": call.payload["status"], "received_at": call.received_at} for call in calls]
    recordset.execute(TRANSFER_STATUS.format(column=column), rows)
    return [{} for _ in calls]


@handles("DataTransfer")
def data_transfer(calls):
    """OCPP 1.6 §4.3. No vendor's extension is known here, which is what the charger is told."""
    return [{"status": "UnknownVendorId"} for _ in calls]
