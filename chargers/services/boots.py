"""Record the boots of chargers, and which charger holds a serial number."""

from datetime import datetime
from typing import NamedTuple

from chargers import sql
from chargers.models import HeldSerial
from chargers.services import variables
from core.db import bulk_sql


class Boot(NamedTuple):
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
    reason: str = ""


def record(boots: list[Boot]) -> list[str]:
    """Store `boots`, and return the registration status of each, by the operator's policy for the charger.

    This clears `reboot_required` of the charger's variables.
    """
    policies: dict[int, str] = dict(bulk_sql.execute(sql.RECORD_BOOT, [boot._asdict() for boot in boots]))
    _hold_serials(boots)
    variables.record_boot(policies)
    return [policies[boot.id] for boot in boots]


def _hold_serials(boots: list[Boot]) -> None:
    sent = [(boot.id, serial) for boot in boots for serial in (boot.serial_number, boot.charge_box_serial_number)]
    usable = [(charger, serial) for charger, serial in sent if serial and len(serial) <= HeldSerial.MAX_LENGTH]
    rows = [{"n": n, "charger": charger, "serial": serial} for n, (charger, serial) in enumerate(usable)]
    if new := bulk_sql.execute(sql.HOLD_SERIALS, rows):
        bulk_sql.query(sql.FREE_SERIALS, [bulk_sql.array({pk for (pk,) in new}), HeldSerial.MAX_FORMER])
