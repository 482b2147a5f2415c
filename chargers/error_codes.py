"""What error codes mean and what to do about them.

The codes are those of OCPP (1.6 §7.6; security events: 2.0.1 part 2, appendix 1) and of ChargeX
(inl.gov/chargex/mrec). Codes of manufacturers are in a file of the installation (OCPP_ERROR_CODES), because most
publish them to their customers only. They are sent as `vendorErrorCode`, as error code, or in 2.0.1 as `techCode`. A
vendor is found in the name that the charger reports, whatever stands around it and in upper or lower case.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from chargers.models import Incident

# (part of the vendor's name, code): (meaning, what to do).
CODES = {
    ("", "ConnectorLockFailure"): (
        "The connector could not be locked or unlocked.",
        "Unplug the cable and plug it in again. If it recurs, have the lock checked on site.",
    ),
    ("", "EVCommunicationError"): (
        "The charger could not communicate with the vehicle.",
        "Plug the vehicle in again, or try another one. If it recurs with every vehicle, have the cable checked.",
    ),
    ("", "GroundFailure"): (
        "The ground fault protection has tripped.",
        "Do not reset it again and again. Have an electrician check the charger, its cable and its installation.",
    ),
    ("", "HighTemperature"): (
        "The charger or its connector is too hot.",
        "Check ventilation, filters and sunlight. If it recurs, limit its power and have the contacts checked.",
    ),
    ("", "InternalError"): (
        "A part of the charger or its software has failed.",
        "Restart the charger. If it recurs, fetch its log and send it to the manufacturer.",
    ),
    ("", "LocalListConflict"): (
        "The local list conflicts with the list of this system.",
        "Send the local list as a whole.",
    ),
    ("", "OtherError"): (
        "The charger reports an error that the standard does not name.",
        "See the error code of the manufacturer and the text, and the manual of the charger.",
    ),
    ("", "OverCurrentFailure"): (
        "The over-current protection has tripped.",
        "Have the installation checked. If it happened during a charge, compare the current limit with the fuse.",
    ),
    ("", "OverVoltage"): (
        "The voltage has risen above an acceptable level.",
        "Measure the supply. If it affects several chargers of a site, ask the grid operator.",
    ),
    ("", "PowerMeterFailure"): (
        "The charger cannot read its electricity meter.",
        "Restart the charger. Until the meter works, energy is not measured, so check the cable to the meter.",
    ),
    ("", "PowerSwitchFailure"): (
        "A power switch or contactor does not work.",
        "Take the connector out of service, because its power may not be switched off. Have it repaired.",
    ),
    ("", "ReaderFailure"): (
        "The card reader does not work.",
        "Restart the charger. Drivers can be started remotely meanwhile.",
    ),
    ("", "ResetFailure"): ("The charger could not reset itself.", "Switch its supply off and on."),
    ("", "UnderVoltage"): (
        "The voltage has dropped below an acceptable level.",
        "Check the fuses and the supply. If it affects several chargers of a site, ask the grid operator.",
    ),
    ("", "WeakSignal"): ("The wireless signal is weak.", "Check the antenna, or connect the charger by cable."),
    ("", "TamperDetectionActivated"): (
        "A tamper sensor of the charger has tripped.",
        "Check on site whether the charger was opened.",
    ),
    ("", "SecurityLogWasCleared"): (
        "The security log of the charger was cleared.",
        "Find out who did it. If nobody should have, renew the keys of the charger.",
    ),
    ("", "MemoryExhaustion"): (
        "The memory of the charger is exhausted.",
        "Restart the charger, and look for a newer firmware.",
    ),
    ("", "InvalidFirmwareSignature"): (
        "The signature of a firmware is invalid.",
        "Check that the firmware is that of the manufacturer, and was not changed.",
    ),
    ("", "InvalidFirmwareSigningCertificate"): (
        "The certificate of a firmware is invalid.",
        "Check that the firmware is that of the manufacturer, and that the clock of the charger is right.",
    ),
    ("", "AttemptedReplayAttacks"): (
        "The charger was sent a former message again.",
        "Look for changes in the network of the charger, and renew its keys.",
    ),
    ("", "FailedToAuthenticateAtCentralSystem"): (
        "The charger could not authenticate here.",
        "Give it a new key or a new certificate.",
    ),
    ("", "FailedToAuthenticateAtCsms"): (
        "The charger could not authenticate here.",
        "Give it a new key or a new certificate.",
    ),
    ("", "CentralSystemFailedToAuthenticate"): (
        "The charger does not trust the certificate of this system.",
        "Check the root certificates of the charger, its clock and the certificate of this system.",
    ),
    ("", "CsmsFailedToAuthenticate"): (
        "The charger does not trust the certificate of this system.",
        "Check the root certificates of the charger, its clock and the certificate of this system.",
    ),
    ("", "InvalidCentralSystemCertificate"): (
        "The charger does not trust the certificate of this system.",
        "Check the root certificates of the charger, its clock and the certificate of this system.",
    ),
    ("", "InvalidCsmsCertificate"): (
        "The charger does not trust the certificate of this system.",
        "Check the root certificates of the charger, its clock and the certificate of this system.",
    ),
    ("", "InvalidChargePointCertificate"): (
        "A certificate that was sent to the charger is invalid.",
        "Check whom it is for, its dates and the clock of the charger, and send a new one.",
    ),
    ("", "InvalidChargingStationCertificate"): (
        "A certificate that was sent to the charger is invalid.",
        "Check whom it is for, its dates and the clock of the charger, and send a new one.",
    ),
    ("", "InvalidTLSVersion"): (
        "The TLS version of a connection is not allowed.",
        "Check the proxy in front of this system.",
    ),
    ("", "InvalidTLSCipherSuite"): (
        "The cipher suite of a connection is not allowed.",
        "Check the proxy in front of this system.",
    ),
    ("", "MaintenanceLoginFailed"): (
        "A login to the maintenance interface of the charger has failed.",
        "Find out who tried it. If nobody should have, check the charger on site.",
    ),
    # Minimum required error codes of the ChargeX consortium, which chargers of many manufacturers send.
    ("", "CX008"): ("An emergency stop was pressed.", "Find out why on site, and release the emergency stop."),
    ("", "CX010"): (
        "The vehicle is not in a mode in which it can be charged.",
        "Ask the driver to switch the vehicle off and to put it in park.",
    ),
    ("", "CX011"): (
        "The check of the cable before charging has failed.",
        "Plug the vehicle in again, or try another one. If it recurs with every vehicle, have the cable checked.",
    ),
    ("", "CX014"): ("The control pilot signal is faulty.", "Have the cable and the connector checked."),
    ("", "CX015"): ("The charger has lost its power.", "Check the fuses and the supply."),
    ("", "CX017"): (
        "A contactor of the charger does not work.",
        "Take the connector out of service, because its power may not be switched off. Have it repaired.",
    ),
    ("", "CX018"): (
        "The cable is hot, so the power is reduced.",
        "Have the contacts of the connector checked, and the cooling of the cable if it has one.",
    ),
    ("", "CX019"): (
        "The cable is too hot, so charging was stopped.",
        "Have the contacts of the connector checked, and the cooling of the cable if it has one.",
    ),
    ("", "CX020"): (
        "The connector is not plugged in completely.",
        "Ask the driver to plug it in again. If it recurs, have the connector checked.",
    ),
    ("", "CX022"): (
        "The resistance of the insulation is too low.",
        "Do not reset it again and again. Have the cable and the charger checked.",
    ),
    ("", "CX023"): ("The proximity signal of the connector is faulty.", "Have the cable and the connector checked."),
    ("", "CX024"): (
        "There is a voltage on the connector although nobody charges.",
        "Take the connector out of service, because its power may not be switched off. Have it repaired.",
    ),
    ("", "CX025"): (
        "The latch of the connector is broken.",
        "Take the connector out of service, and have it replaced.",
    ),
    ("", "CX026"): ("The cable is cut.", "Take the connector out of service, and check on site."),
}
# Those that are the same as a code of OCPP.
SAME = {
    "CX001": "ConnectorLockFailure",
    "CX002": "GroundFailure",
    "CX003": "HighTemperature",
    "CX004": "OverCurrentFailure",
    "CX005": "OverVoltage",
    "CX006": "UnderVoltage",
}
# Where no code says more: what a kind of incidents means.
KINDS = {
    "fault": (
        "The charger reports that this connector does not work.",
        "See its page for messages before the fault.",
    ),
    "high_temperature": ("The charger or its connector is too hot.", "Check ventilation, filters and sunlight."),
    "offline": (
        "The charger has no connection to this system.",
        "Check its power supply and its network. If several chargers of a site are offline, check the router.",
    ),
    "silent": (
        "The connection is open, but nothing was received for a long time.",
        "Restart the charger. If it recurs, set a shorter ping interval, so that a lost connection is noticed.",
    ),
    "refused": (
        "The charger tries to connect, and its handshake is refused.",
        "The text says what is missing. Give the charger a new key, or correct its settings.",
    ),
    "unknown_charger": (
        "A charger with an id that is not known here tries to connect.",
        "Add it on the page of refused connections if it is yours, or correct the id in its URL.",
    ),
    "command_failed": (
        "The charger did not answer its last command, or answered with an error.",
        "See the page of the command, and send it again when the charger is connected.",
    ),
    "campaign_stopped": (
        "Updates of a firmware campaign have failed, so no further charger is updated.",
        "See the page of the campaign. Repeat the updates that failed, resume it without them, or end it.",
    ),
    "message_rejected": (
        "Nothing in a message of the charger could be used, so it was refused.",
        "See the protocol issues of the charger, and send them to its manufacturer.",
    ),
    "clock": (
        "The charger sends times that cannot be right.",
        "Its clock is set at each boot and heartbeat. Restart it; if it recurs, its clock is broken.",
    ),
    "security": ("The charger reports a security event.", "See its security events."),
    "monitoring": ("The charger reports an event of high severity.", "See its variables and monitoring events."),
    "system": ("A part of this system does not work.", "The text says what to do."),
}


@dataclass(frozen=True)
class Explanation:
    """What is wrong, and what to do about it, as sentences."""

    meaning: str
    what_to_do: str


def explain(incident: "Incident") -> Explanation:
    """Return the explanation of the vendor's code, of the code of OCPP, or of the kind of incident."""
    vendor = incident.charger.vendor if incident.charger else ""
    if incident.kind in ("fault", "high_temperature", "security", "monitoring"):
        for code in (incident.vendor_code, incident.code):
            if found := of_vendor(vendor, code) or _table().get(("", code.casefold())):
                return found
    return Explanation(*KINDS.get(incident.kind, ("", "")))


def of_vendor(vendor: str, code: str) -> Explanation | None:
    """Return the explanation of a manufacturer's own code, None for an unknown one."""
    if not (vendor and code):
        return None
    name = vendor.casefold()
    return next((_table()[known, code.casefold()] for known in _vendors(code.casefold()) if known in name), None)


def _vendors(code: str) -> list[str]:
    return [vendor for vendor, known in _table() if vendor and known == code]


@cache
def _table() -> dict[tuple[str, str], Explanation]:
    table = {(vendor, code.casefold()): Explanation(*texts) for (vendor, code), texts in CODES.items()}
    table |= {("", code.casefold()): table["", same.casefold()] for code, same in SAME.items()}
    if settings.OCPP_ERROR_CODES:
        with Path(settings.OCPP_ERROR_CODES).open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                key = (row["vendor"].strip().casefold(), row["code"].strip().casefold())
                table[key] = Explanation(row["meaning"], row["what_to_do"])
    return table
