"""By whom and by which request something is submitted, so that a request that is sent twice has one result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import orjson
from django.db import IntegrityError
from django.utils.crypto import salted_hmac

from commands.models import Batch, Campaign, Command
from core.http.errors import Conflict

Submitted = TypeVar("Submitted", Batch, Campaign, Command)


@dataclass(frozen=True)
class Origin:
    """The name of the user, "" without a login, and the Idempotency-Key, "" for a request without one.

    `request` is the request itself, any JSON value. A second one of the same user and key must have an equal one.
    """

    requested_by: str = ""
    key: str = ""
    request: object = field(default=None, repr=False)  # hidden from logs, because it may hold secrets

    def columns(self) -> dict[str, str]:
        """Return the columns of what is submitted, by which `earlier` finds it."""
        digest = self._digest() if self.key else ""
        return {"requested_by": self.requested_by, "idempotency_key": self.key, "request_digest": digest}

    def earlier(self, model: type[Submitted]) -> Submitted | None:
        """Return the row of an earlier request with this key, or None. Raise `Conflict` if that one was different."""
        if not self.key:
            return None
        row = model.objects.filter(requested_by=self.requested_by, idempotency_key=self.key).first()
        if row and row.request_digest != self._digest():
            raise Conflict("This Idempotency-Key was used for another request.")
        return row

    def once(self, model: type[Submitted], create: Callable[[], Submitted]) -> Submitted:
        """Return the row of an earlier request with this key, else that of `create`, also if both run at once."""
        if row := self.earlier(model):
            return row
        try:
            return create()
        except IntegrityError:
            if row := self.earlier(model):
                return row
            raise

    def _digest(self) -> str:
        """Return a keyed digest of the request, because a secret in it must not be guessed from a stored digest."""
        content = orjson.dumps(self.request, option=orjson.OPT_SORT_KEYS)
        return salted_hmac("idempotency", content, algorithm="sha256").hexdigest()


UNKNOWN = Origin()
