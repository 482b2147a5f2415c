"""Model fields for JSON whose members keep their order, and for payloads, whose secrets are sealed."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.db import models

from core.db import sealing
from core.ocpp import redaction
from core.ocpp.versions import Version


class OrderedJSONField(models.TextField):
    """JSON stored as text, because jsonb would reorder the members, and payloads must be sent as submitted."""

    # For django-stubs, which takes the attribute of a TextField for a text.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else orjson.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()


class Payload(dict[str, Any]):
    """A payload without its secrets, as users may see it; `opened()` returns the payload to send.

    `token` is the whole payload, sealed, if it holds a secret; else None.
    """

    token: str | None = None

    def __eq__(self, other: object) -> bool:
        """Compare secrets in sealed form, so the same secret sealed twice counts as different."""
        return super().__eq__(other) and (not isinstance(other, Payload) or self.token == other.token)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # because it can be changed

    @classmethod
    def of(cls, whole: Mapping[str, Any], version: Version | None = None, action: str = "") -> "Payload":
        """The `Payload` of an OCPP request (a dict).

        Its secrets are those that the OCPP `version` declares for `action`, and members with the name of a secret.
        Without a version they are found by their names only.
        """
        if version is None:
            shown = cls(redaction.without_secrets(whole))
        else:
            shown = cls(redaction.request_without_secrets(whole, version, action))
        if shown != whole:
            shown.token = sealing.seal(orjson.dumps(whole).decode())
        return shown

    @classmethod
    def stored(cls, text: str) -> "Payload":
        """Parse the text of the column: the token and a space, if there is a token, and the JSON without secrets."""
        token, _, shown = text.partition(" ") if text.startswith(sealing.TOKEN) else (None, "", text)
        payload = cls(orjson.loads(shown))
        payload.token = token
        return payload

    def as_stored(self) -> str:
        shown = orjson.dumps(self).decode()
        return shown if self.token is None else f"{self.token} {shown}"

    def opened(self) -> dict[str, Any]:
        """Return the whole payload; raises `sealing.Unreadable` if no key decrypts it."""
        return self if self.token is None else orjson.loads(sealing.unseal(self.token))

    def hide_in(self, answer: Any) -> Any:
        """Return `answer` (JSON) without secrets, including those of the payload that it quotes."""
        if self.token is None:
            return redaction.without_secrets(answer)
        secrets = set(redaction.hidden_texts(self.opened(), self))
        hidden = redaction.without_texts(redaction.without_secrets(answer), secrets)
        # The status stays, because it is a value of OCPP, even if it equals the secret.
        return hidden | {"status": answer["status"]} if isinstance(answer, dict) and "status" in answer else hidden


class PayloadField(sealing.Unsearchable, OrderedJSONField):
    """A field whose attribute is a `Payload`; a dict with the whole payload may be assigned."""

    _pyi_private_get_type: Payload

    def sealed(self, value: Any) -> Any:
        return Payload.of(value) if isinstance(value, dict) and not isinstance(value, Payload) else value

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Payload | None:
        return None if value is None else Payload.stored(value)

    def to_python(self, value: Any) -> Any:
        return self.sealed(value)

    def get_prep_value(self, value: Any) -> Any:
        value = self.sealed(value)
        return value.as_stored() if isinstance(value, Payload) else value

    def resealed(self, stored: str) -> str | None:
        """Return the column text `stored` sealed with the first key, None if it already is or has no secret."""
        payload = Payload.stored(stored)
        if payload.token is None:
            whole = Payload.of(dict(payload))
            return whole.as_stored() if whole.token else None
        payload.token = sealing.renewed(payload.token)
        return payload.as_stored() if payload.token else None
