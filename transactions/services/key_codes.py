"""Hide id tokens of type KeyCode, which are PINs, where operators see tokens (OCPP 2.0.1 C04.FR.04)."""

from core.ocpp.redaction import HIDDEN
from transactions.models.id_tags import KEY_CODE


def shown(id_token: str, id_token_type: str) -> str:
    """Return the token as it may be shown."""
    return HIDDEN if id_token and id_token_type == KEY_CODE else id_token
