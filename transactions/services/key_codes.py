"""Hide id tokens of type KeyCode, which are PINs, where operators see tokens (OCPP 2.0.1 C04.FR.04)."""

from core.ocpp.redaction import HIDDEN
from core.ocpp.schemas import JSON

KEY_CODE = "KeyCode"


def shown(id_token: str, id_token_type: str) -> str:
    """Return the token as it may be shown."""
    return HIDDEN if id_token and id_token_type == KEY_CODE else id_token


def secret_columns(tag: JSON) -> list[str]:
    """Return the columns of an id tag with these values that the audit log does not show."""
    return ["id_tag"] if tag.get("type") == KEY_CODE else []
