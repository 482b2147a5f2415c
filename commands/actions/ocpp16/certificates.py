"""GetInstalledCertificateIds (security whitepaper §2.6) and the request to renew a certificate (A02).

OCPP 2.0.1 shares the other commands about certificates.
"""

from commands.actions.certificates import replace
from commands.models import Command

# The request to renew a certificate: {whether it is one for cars: (action, payload)}.
RENEWALS = {False: ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})}


def reported(command: Command) -> None:
    """Replace the rows of this certificate type by those in the answer; NotFound means that there are none."""
    kind = command.payload["certificateType"]
    replace(command, [kind], [(kind, hash_data, []) for hash_data in command.answer.get("certificateHashData", [])])
