"""Inbound messages of OCPP 2.0.1: each handler decodes a batch of CALLs, calls services, and encodes the answers."""

from gateway import common
from gateway.ocpp201 import (
    authorization,
    certificates,
    charger,
    charging,
    contracts,
    device_model,
    display_messages,
    monitoring,
    reservations,
    transactions,
    transfers,
)

HANDLERS = {
    "Authorize": authorization.authorize,
    "BootNotification": charger.boot_notification,
    "ClearedChargingLimit": charging.cleared_charging_limit,
    "DataTransfer": common.data_transfer,
    "FirmwareStatusNotification": transfers.firmware_status_notification,
    "Get15118EVCertificate": certificates.get_15118_ev_certificate,
    "GetCertificateStatus": certificates.get_certificate_status,
    "Heartbeat": common.heartbeat,
    "LogStatusNotification": transfers.log_status_notification,
    "MeterValues": transactions.meter_values,
    "NotifyChargingLimit": charging.notify_charging_limit,
    "NotifyCustomerInformation": monitoring.notify_customer_information,
    "NotifyDisplayMessages": display_messages.notify_display_messages,
    "NotifyEVChargingNeeds": charging.notify_ev_charging_needs,
    "NotifyEVChargingSchedule": charging.notify_ev_charging_schedule,
    "NotifyEvent": monitoring.notify_event,
    "NotifyMonitoringReport": monitoring.notify_monitoring_report,
    "NotifyReport": device_model.notify_report,
    "PublishFirmwareStatusNotification": transfers.publish_firmware_status_notification,
    "ReportChargingProfiles": charging.report_charging_profiles,
    "ReservationStatusUpdate": reservations.reservation_status_update,
    "SecurityEventNotification": common.security_event_notification,
    "SignCertificate": certificates.sign_certificate,
    "StatusNotification": charger.status_notification,
    "TransactionEvent": transactions.transaction_event,
}
# The messages that need the answer of another server, which is requested before the handler runs.
LOOKUPS = {
    "Authorize": contracts.CONTRACT,
    "Get15118EVCertificate": certificates.PROVIDER,
    "GetCertificateStatus": certificates.OCSP,
}
