"""Refusals: the CALLERRORs, findings and warnings about frames of one socket that cannot be processed."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from chargers import metrics
from chargers.services import findings
from core.ocpp import frames
from core.ocpp.redaction import InLog
from gateway.sockets import writer
from transactions.services import refused_messages
from transactions.services.refused_messages import RefusedMessage

if TYPE_CHECKING:
    from gateway.exchange import Exchange

logger = logging.getLogger(__name__)

MAX_WARNINGS_PER_MINUTE = 60  # log lines about the frames of one socket


class Refusals:
    """The refusals of one socket, whose frames are those of `exchange`."""

    def __init__(self, exchange: "Exchange") -> None:
        self.exchange, self.charger = exchange, exchange.charger
        self.minute = self.warnings = 0  # the warnings since the beginning of `minute`

    async def answer(self, error: Exception, text: str, frame: frames.CallFrame | frames.Reply | None) -> None:
        """Refuse the CALL that `error` is about. `frame` is None if the `text` could not be parsed."""
        try:
            await self._answer(error, text, frame)
        except Exception:  # noqa: BLE001  (a fault of one frame must not close the socket)
            logger.exception("%s: could not refuse %s", self.charger, InLog(text, self.exchange.version))

    async def _answer(self, error: Exception, text: str, frame: frames.CallFrame | frames.Reply | None) -> None:
        if isinstance(error, frames.Unreadable):
            self._ignore(text, error)
        elif isinstance(error, frames.BadCall):
            self.exchange.recorder.on_received(text)
            await self._refuse_unusable(error.message_id, error, error.action, text)
        elif not isinstance(frame, frames.CallFrame):
            logger.error("%s: could not handle %s", self.charger, InLog(text, self.exchange.version), exc_info=error)
        elif isinstance(error, frames.UnusableCall):
            await self._refuse_unusable(frame.message_id, error, frame.action, frame.payload)
        elif isinstance(error, frames.CallError):
            await self._refuse(frame.message_id, error, frame.action)
        else:
            why = "could not process %s, answered InternalError"
            logger.error(f"%s: {why}", self.charger, frame.action, exc_info=error)
            await self._refuse(frame.message_id, frames.CallError("InternalError"), frame.action)

    def _ignore(self, text: str, error: frames.Unreadable) -> None:
        writer.note_seen(self.charger.pk)
        findings.add(self.charger.pk, "", {("", "unreadable"): {"reason": str(error), "frame": text}})
        self.exchange.recorder.on_received(text)
        self.exchange.recorder.refuse()
        metrics.count_message(metrics.OTHER, "Unreadable")
        self.warn("%s: ignored %s: %s", self.charger, InLog(text, self.exchange.version), error)

    async def _refuse_unusable(
        self, message_id: str, error: frames.CallError, action: str, sent: str | dict[str, Any]
    ) -> None:
        """Refuse a CALL in which nothing can be used. If it is about a transaction, store it first."""
        if action in self.exchange.version.starts_and_stops:
            self.exchange.account.spend("transactions")
        await self.store(action, sent, error)
        known = action if action in self.exchange.version.schemas.actions else ""
        findings.add(self.charger.pk, known, {(error.field if known else action, "rejected"): sent})
        await self._refuse(message_id, error, action)

    async def store(self, action: str, sent: str | dict[str, Any], error: frames.CallError) -> None:
        """Store a message about a transaction that is refused, for the operator."""
        if action not in self.exchange.version.about_transactions:
            return
        text = sent if isinstance(sent, str) else (await asyncio.to_thread(orjson.dumps, sent)).decode()
        message = RefusedMessage(
            self.charger.pk, action, text, str(error), datetime.now(UTC), self.exchange.version.subprotocol
        )
        try:
            await writer.submit_and_wait(refused_messages.store, message)
        except Exception:  # noqa: BLE001  (the writer has logged the cause; every CALL must be answered)
            logger.error("%s: a refused %s could not be stored for the operator", self.charger, action)

    async def _refuse(self, message_id: str, error: frames.CallError, action: str) -> None:
        writer.note_seen(self.charger.pk)
        self.exchange.recorder.refuse()
        metrics.count_message(action or metrics.OTHER, error.code)
        self.warn("%s: %s %s", self.charger, message_id, error)
        await self.exchange.write(frames.call_error(message_id, error), message_id, action)

    def warn(self, *message: Any) -> None:
        """Log a warning, at most MAX_WARNINGS_PER_MINUTE, because a charger's bad frames must not fill the disk."""
        minute = int(time.monotonic() / 60)
        if minute != self.minute:
            self.minute, self.warnings = minute, 0
        self.warnings += 1
        if self.warnings <= MAX_WARNINGS_PER_MINUTE:
            logger.warning(*message)
