"""Firmware updates, uploads and certificate renewal of a simulated charger."""

import asyncio
import logging
import urllib.request
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action

logger = logging.getLogger("simulator")


class TransferringCharger(ChargePoint):
    """A charger that transfers files over HTTP(S), and only simulates transfers for other locations."""

    @on(Action.get_diagnostics)
    def get_diagnostics(self, location, **_):
        return call_result.GetDiagnostics(_log_name())

    @after(Action.get_diagnostics)
    async def after_get_diagnostics(self, location, **_):
        await self.call(call.DiagnosticsStatusNotification("Uploading"))
        done = await self._upload(location)
        await self.call(call.DiagnosticsStatusNotification("Uploaded" if done else "UploadFailed"))

    @on(Action.get_log)
    def get_log(self, **_):
        return call_result.GetLog("Accepted", _log_name())

    @after(Action.get_log)
    async def after_get_log(self, log, request_id, **_):
        await self.call(call.LogStatusNotification("Uploading", request_id))
        done = await self._upload(log["remote_location"])
        await self.call(call.LogStatusNotification("Uploaded" if done else "UploadFailure", request_id))

    async def _upload(self, location):
        log = f"{datetime.now(UTC).isoformat()} simulated charger {self.id}: nothing to report\n"
        return await _http("PUT", location.rstrip("/") + "/" + _log_name(), log.encode())

    @on(Action.update_firmware)
    def update_firmware(self, location, retrieve_date, **_):
        return call_result.UpdateFirmware()

    @after(Action.update_firmware)
    async def after_update_firmware(self, location, retrieve_date, **_):
        for status in await self._install(location, "Installing"):
            await self.call(call.FirmwareStatusNotification(status))
            await asyncio.sleep(1)

    @on(Action.signed_update_firmware)
    def signed_update_firmware(self, **_):
        return call_result.SignedUpdateFirmware("Accepted")

    @after(Action.signed_update_firmware)
    async def after_signed_update_firmware(self, request_id, firmware, **_):
        for status in await self._install(firmware["location"], "SignatureVerified", "Installing"):
            await self.call(call.SignedFirmwareStatusNotification(status, request_id))
            await asyncio.sleep(1)

    async def _install(self, location, *steps):
        if await _http("GET", location):
            return ["Downloading", "Downloaded", *steps, "Installed"]
        return ["Downloading", "DownloadFailed"]

    async def renew_certificate(self):
        """Send SignCertificate for a new key, which is not stored, so the charger does not use the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        await self.call(call.SignCertificate(request.public_bytes(serialization.Encoding.PEM).decode()))


def _log_name():
    return f"diagnostics-{datetime.now(UTC):%Y%m%d}.log"


async def _http(method, location, body=None):
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
