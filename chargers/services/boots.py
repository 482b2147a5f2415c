"""Record the boots of chargers, and which charger holds a serial number."""

from dataclasses import asdict, dataclass
from datetime import datetime

from chargers.models import ConfigurationKey, HeldSerial
from core.db import bulk_sql

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


@dataclass(frozen=True, slots=True)
class Boot:
    """A boot that a charger (primary key) reports, with the texts that describe it, "" for those that it left out."""

    id: int
    received_at: datetime
    vendor: str
    model: str
    serial_number: str = ""
    charge_box_serial_number: str = ""
    firmware_version: str = ""
    iccid: str = ""
    imsi: str = ""
    meter_type: str = ""
    meter_serial_number: str = ""


def record(boots: list[Boot]) -> list[str]:
    """Store `boots`, and return the registration status of each, by the operator's policy for the charger.

    This clears `reboot_required` of the charger's keys (OCPP 1.6 §4.2).
    """
    policies = dict(bulk_sql.execute(BOOT, [asdict(boot) for boot in boots]))
    _hold_serials(boots)
    ConfigurationKey.objects.filter(charger__in=policies, reboot_required=True).update(reboot_required=False)
    return [policies[boot.id] for boot in boots]


def _hold_serials(boots: list[Boot]) -> None:
    sent = [(boot.id, serial) for boot in boots for serial in (boot.serial_number, boot.charge_box_serial_number)]
    usable = [(charger, serial) for charger, serial in sent if serial and len(serial) <= HeldSerial.MAX_LENGTH]
    rows = [{"n": n, "charger": charger, "serial": serial} for n, (charger, serial) in enumerate(usable)]
    if new := bulk_sql.execute(HOLD_SERIALS, rows):
        bulk_sql.query(FREE_SERIALS, [bulk_sql.array({pk for (pk,) in new}), HeldSerial.MAX_FORMER])
