"""Inbound messages of OCPP 1.6: each handler decodes a batch of CALLs, calls services, and encodes the answers."""

from gateway import common
from gateway.ocpp16 import charger, transactions

# The messages of OCPP 1.6 and of its security extensions.
HANDLERS = {
    "Authorize": transactions.authorize,
    "BootNotification": charger.boot_notification,
    "DataTransfer": common.data_transfer,
    "DiagnosticsStatusNotification": charger.diagnostics_status_notification,
    "FirmwareStatusNotification": charger.firmware_status_notification,
    "Heartbeat": common.heartbeat,
    "LogStatusNotification": charger.log_status_notification,
    "MeterValues": transactions.meter_values,
    "SecurityEventNotification": common.security_event_notification,
    "SignCertificate": charger.sign_certificate,
    "SignedFirmwareStatusNotification": charger.signed_firmware_status_notification,
    "StartTransaction": transactions.start_transaction,
    "StatusNotification": charger.status_notification,
    "StopTransaction": transactions.stop_transaction,
}
