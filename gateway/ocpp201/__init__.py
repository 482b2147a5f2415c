"""Inbound messages of OCPP 2.0.1: each handler decodes a batch of CALLs, calls services, and encodes the answers."""

from gateway import common
from gateway.ocpp201 import (
    authorization,
    certificates,
    charger,
    contracts,
    device_model,
    display_messages,
    transactions,
    transfers,
)

HANDLERS = {
    "Authorize": authorization.authorize,
    "BootNotification": charger.boot_notification,
    "DataTransfer": common.data_transfer,
    "FirmwareStatusNotification": transfers.firmware_status_notification,
    "Get15118EVCertificate": certificates.get_15118_ev_certificate,
    "GetCertificateStatus": certificates.get_certificate_status,
    "Heartbeat": common.heartbeat,
    "MeterValues": transactions.meter_values,
    "LogStatusNotification": transfers.log_status_notification,
    "NotifyDisplayMessages": display_messages.notify_display_messages,
    "PublishFirmwareStatusNotification": transfers.publish_firmware_status_notification,
    "NotifyReport": device_model.notify_report,
    "SecurityEventNotification": common.security_event_notification,
    "SignCertificate": certificates.sign_certificate,
    "StatusNotification": charger.status_notification,
    "TransactionEvent": transactions.transaction_event,
}
# The messages that need the answer of another server, which is asked before the handler runs.
LOOKUPS = {
    "Authorize": contracts.CONTRACT,
    "Get15118EVCertificate": certificates.PROVIDER,
    "GetCertificateStatus": certificates.OCSP,
}
