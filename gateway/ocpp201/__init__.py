"""Inbound messages of OCPP 2.0.1: each handler decodes a batch of CALLs, calls services, and encodes the answers."""

from gateway import common
from gateway.ocpp201 import (
    authorization,
    charger,
    device_model,
    display_messages,
    reservations,
    transactions,
    transfers,
)

HANDLERS = {
    "Authorize": authorization.authorize,
    "BootNotification": charger.boot_notification,
    "DataTransfer": common.data_transfer,
    "FirmwareStatusNotification": transfers.firmware_status_notification,
    "Heartbeat": common.heartbeat,
    "MeterValues": transactions.meter_values,
    "LogStatusNotification": transfers.log_status_notification,
    "NotifyDisplayMessages": display_messages.notify_display_messages,
    "PublishFirmwareStatusNotification": transfers.publish_firmware_status_notification,
    "NotifyReport": device_model.notify_report,
    "ReservationStatusUpdate": reservations.reservation_status_update,
    "SecurityEventNotification": common.security_event_notification,
    "StatusNotification": charger.status_notification,
    "TransactionEvent": transactions.transaction_event,
}
