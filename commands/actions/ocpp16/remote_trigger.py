"""TriggerMessage (OCPP 1.6 §5.17) and ExtendedTriggerMessage (security whitepaper §5.4)."""

from core.ocpp.schemas import JSON


def requested(payload: JSON) -> str:
    message: str = payload["requestedMessage"]
    return message


def requested_by_extended(payload: JSON) -> str:
    """Return the message of the security extensions where the requested one has another name or variant."""
    variants = {
        "SignChargePointCertificate": "SignCertificate",
        "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
    }
    message = requested(payload)
    return variants.get(message, message)
