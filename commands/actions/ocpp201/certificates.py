"""GetInstalledCertificateIds (M03) and the request to renew a certificate (A02).

The other commands about certificates are those of every version.
"""

from commands.actions.certificates import Listed, replace
from commands.models import Command
from core.ocpp.schemas import JSON

# The request to renew a certificate: {whether it is one for cars: (action, payload)}.
RENEWALS = {
    False: ("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"}),
    True: ("TriggerMessage", {"requestedMessage": "SignV2GCertificate"}),
}


def reported(command: Command) -> None:
    """Replace the rows of the requested types, without any of all types, by those in the answer.

    NotFound means that there are none (M03.FR.02).
    """
    listed = [_listed(one) for one in command.answer.get("certificateHashDataChain", [])]
    replace(command, command.payload.get("certificateType"), listed)


def _listed(chain: JSON) -> Listed:
    return chain["certificateType"], chain["certificateHashData"], chain.get("childCertificateHashData", [])
