"""The names of the commands of every OCPP version.

They are apart from the tables of commands, because the models need them, and the tables need the models.
"""

NAMES = (
    "ChangeAvailability",
    "ChangeConfiguration",
    "ClearCache",
    "DataTransfer",
    "GetConfiguration",
    "RemoteStartTransaction",
    "RemoteStopTransaction",
    "Reset",
    "UnlockConnector",
    "GetLocalListVersion",
    "SendLocalList",
    "CancelReservation",
    "ReserveNow",
    "ClearChargingProfile",
    "GetCompositeSchedule",
    "SetChargingProfile",
    "GetDiagnostics",
    "GetLog",
    "UpdateFirmware",
    "SignedUpdateFirmware",
    "TriggerMessage",
    "ExtendedTriggerMessage",
    "InstallCertificate",
    "DeleteCertificate",
    "GetInstalledCertificateIds",
    "CertificateSigned",
)
