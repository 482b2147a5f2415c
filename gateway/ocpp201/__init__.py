"""Inbound messages of OCPP 2.0.1: each handler decodes a batch of CALLs, calls services, and encodes the answers."""

from gateway import common
from gateway.ocpp201 import charger, device_model

HANDLERS = {
    "BootNotification": charger.boot_notification,
    "DataTransfer": common.data_transfer,
    "Heartbeat": common.heartbeat,
    "NotifyReport": device_model.notify_report,
    "SecurityEventNotification": common.security_event_notification,
    "StatusNotification": charger.status_notification,
}
