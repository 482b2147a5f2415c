"""Model fields for JSON whose members keep their order, and for payloads, whose secrets are sealed."""

import orjson
from django.db import models

from chargers import masking, sealing


class OrderedJSONField(models.TextField):
    """JSON kept as text: jsonb would reorder the members, and what goes on the wire must stay as asked for."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else orjson.loads(value)

    def to_python(self, value):
        return value

    def get_prep_value(self, value):
        return None if value is None else orjson.dumps(value).decode()


class Payload(dict):
    """A payload as it may be shown to whoever may see commands; `opened()` is what is sent.

    `token` is the whole payload, sealed, where it holds a secret; else None.
    """

    token = None

    def __eq__(self, other):
        """Of two payloads with secrets, those are compared as they are sealed: two that were sealed apart differ."""
        return super().__eq__(other) and (not isinstance(other, Payload) or self.token == other.token)

    def __ne__(self, other):
        return not self == other

    __hash__ = None

    @classmethod
    def of(cls, whole):
        """The `Payload` of an OCPP request (a dict)."""
        shown = cls(masking.without_secrets(whole))
        if shown != whole:
            shown.token = sealing.seal(orjson.dumps(whole).decode())
        return shown

    @classmethod
    def stored(cls, text):
        """From its column: the token, where there is one, a space, and the JSON of what is shown."""
        token, _, shown = text.partition(" ") if text.startswith(sealing.TOKEN) else (None, "", text)
        payload = cls(orjson.loads(shown))
        payload.token = token
        return payload

    def as_stored(self):
        shown = orjson.dumps(self).decode()
        return shown if self.token is None else f"{self.token} {shown}"

    def opened(self):
        """The whole payload; raises `sealing.Unreadable`."""
        return self if self.token is None else orjson.loads(sealing.unseal(self.token))

    def hide_in(self, answer):
        """`answer` (JSON), to be kept: without secrets, also those of the payload that it quotes."""
        if self.token is None:
            return masking.without_secrets(answer)
        secrets = set(masking.hidden_texts(self.opened(), self))
        hidden = masking.without_texts(masking.without_secrets(answer), secrets)
        # The status is a word of OCPP, whatever the secret is.
        return hidden | {"status": answer["status"]} if isinstance(answer, dict) and "status" in answer else hidden


class PayloadField(sealing.Unsearchable, OrderedJSONField):
    """The attribute is a `Payload`; a dict, the whole payload, may be assigned."""

    def sealed(self, value):
        return Payload.of(value) if isinstance(value, dict) and not isinstance(value, Payload) else value

    def from_db_value(self, value, expression, connection):
        return None if value is None else Payload.stored(value)

    def to_python(self, value):
        return self.sealed(value)

    def get_prep_value(self, value):
        value = self.sealed(value)
        return value.as_stored() if isinstance(value, Payload) else value

    def resealed(self, stored):
        """The column's text `stored` with its secrets under the first key, None where nothing is to be done."""
        payload = Payload.stored(stored)
        if payload.token is None:
            whole = Payload.of(dict(payload))
            return whole.as_stored() if whole.token else None
        payload.token = sealing.renewed(payload.token)
        return payload.as_stored() if payload.token else None
