"""What a simulated charger does after its answer to a command, in all OCPP versions."""

import asyncio
import logging
import re
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.ocpp.timestamps import parse

logger = logging.getLogger("simulator")


def certificate_request(charger_id: str) -> str:
    """A request (PEM) for a new key, which is not stored, so the charger does not use the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, charger_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def log_name() -> str:
    return f"diagnostics-{datetime.now(UTC):%Y%m%d}.log"


async def reserve(charger: Any, reservation_id: int, evse: int, until: str) -> bool:
    """Reserve an EVSE (0: any) until a time; return whether the reservation has expired then."""
    charger.reservations[reservation_id] = evse
    for connector in charger.connectors_of(evse) if evse else []:
        await charger.report_status(connector, "Reserved")
    end = parse(until)
    if end is not None:
        await asyncio.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    return await release(charger, reservation_id)


async def release(charger: Any, reservation_id: int) -> bool:
    """End a reservation; return whether there was one."""
    evse = charger.reservations.pop(reservation_id, None)
    for connector in charger.connectors_of(evse) if evse else []:
        if connector.status == "Reserved":
            await charger.report_status(connector, "Available")
    return evse is not None


async def upload(charger: Any, location: str, action: str, request: dict, failure: str) -> None:
    """Upload a log, and report it with `action`. `request` has the id of the command, `failure` is a status."""
    await charger.call(action, {"status": "Uploading"} | request)
    log = f"{datetime.now(UTC).isoformat()} simulated charger {charger.identity}: nothing to report\n"
    done = await _http("PUT", location.rstrip("/") + "/" + log_name(), log.encode())
    await charger.call(action, {"status": "Uploaded" if done else failure} | request)


VERSION = re.compile(r"\d+(\.\d+)+")


async def install(charger: Any, location: str, action: str, request: dict, steps: Iterable[str]) -> None:
    """Fetch firmware, report it with `action`, and restart with its version.

    `steps` are the statuses between the download and the installation.
    """
    fetched = await _http("GET", location)
    last = "Installed" if charger.installs else "InstallationFailed"
    for status in ["Downloading", *(["Downloaded", *steps, last] if fetched else ["DownloadFailed"])]:
        await charger.call(action, {"status": status} | request)
        await asyncio.sleep(1)
    if fetched and charger.installs:
        charger.firmware_version = version_of(location) or charger.firmware_version
        charger.messages.boot_reason = "FirmwareUpdate"
        await charger.restart("Soft")


def version_of(location: str) -> str:
    """The version in the name of an image, such as 1.2.3 in `fw-1.2.3.bin`, "" if there is none."""
    found = VERSION.search(unquote(urlsplit(location).path.rpartition("/")[2]))
    return found.group() if found else ""


async def _http(method: str, location: str, body: bytes | None = None) -> bool:
    """Whether the transfer succeeded; always true if `location` is not HTTP(S)."""
    if not location.startswith(("http://", "https://")):
        return True
    request = urllib.request.Request(location, body, {"Content-Type": "application/octet-stream"}, method=method)
    try:
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=30).read())
    except OSError as error:
        logger.warning("%s %s failed: %s", method, location, error)
        return False
    return True
