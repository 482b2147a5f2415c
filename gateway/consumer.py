"""The consumer of one charger's socket parses, validates and answers frames; handlers process the CALLs."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from uuid import uuid4

import orjson
from channels.consumer import AsyncConsumer

from chargers import metrics
from chargers.models.charger import OF_SOCKET, is_lenient, keep_alive, seconds_before_commands
from chargers.models.messages import MAX_FRAME_LENGTH
from chargers.services import budgets, connections, findings
from chargers.services.refusals import refused
from commands.services import delivery, mailbox
from commands.services.delivery import Claim, LateReply
from core.observability import context, tracing
from core.ocpp import frames, schemas, tolerance
from core.ocpp.calls import Call
from core.ocpp.redaction import InLog
from core.ocpp.versions import Version
from gateway import handshake, sockets
from gateway.boot_wait import BootWait, CommandMessage
from gateway.message_log import FrameRecorder
from gateway.presence_registration import ChannelLayer, PresenceRegistration
from gateway.protocols import HANDLERS, Handler
from gateway.retries import StaleConnection, as_sent
from gateway.sockets import writer
from transactions.services import refused_messages
from transactions.services.refused_messages import RefusedMessage

logger = logging.getLogger(__name__)
T = TypeVar("T")
limiter = handshake.HandshakeLimiter()

REPLACED = 4001  # close code for a socket that a newer one of the same charger replaces
MAX_WARNINGS_PER_MINUTE = 60  # log lines about the frames of one socket
MAX_REMEMBERED_ANSWERS = 8  # answers of one socket that are sent again for a repeated CALL
LARGE_FRAME = 16 * 1024  # characters; a larger frame is parsed in a thread, because other sockets would wait
MAX_RECORDED_FINDINGS = 200  # kinds of findings of one socket for which the message log stores a frame


class Unusable(frames.CallError):
    """A CALL is refused because nothing in it can be used. `field` is the member at fault."""

    def __init__(self, code: str, description: str = "", field: str = "") -> None:
        super().__init__(code, description)
        self.field = field


def _of_call(socket: "ChargerConsumer", frame: frames.Call, /) -> tuple[str, dict[str, tracing.Attribute]]:
    """Return the name and the attributes of the span of a CALL."""
    action = frame.action if frame.action in socket.version.schemas.actions else "unknown action"
    return f"{action} from charger", {"charger_id": socket.charger.identity, "message_id": frame.message_id}


class ChargerConsumer(AsyncConsumer):
    """The socket of one charger. Its own receive loop replaces Channels' dispatch, which is slow."""

    scope: handshake.SocketScope
    base_send: handshake.Send
    version: Version
    handlers: Mapping[str, Handler]
    charger: handshake.ConnectedCharger
    pk: int  # that of the charger
    newest: connections.Newest  # from when the socket has opened
    has_opened: bool
    is_lenient: bool
    is_closing: bool
    is_large: bool  # whether the current frame is
    answered: dict[str, tuple[str, str]]  # {message id: (digest, answer)} of CALLs
    recorded_findings: set[tuple[str, str, str]]  # (action, field, kind) for which a frame was stored
    minute: int
    warnings: int  # since the beginning of `minute`
    outstanding: str | None  # the task of the command that the charger has not answered
    trace: dict[str, str]  # of the outstanding command
    commanding: asyncio.Lock
    background: set[asyncio.Task[None]]
    presence_registration: PresenceRegistration
    recorder: FrameRecorder
    account: budgets.Account
    boot_wait: BootWait

    async def __call__(self, scope: handshake.SocketScope, receive: handshake.Receive, send: handshake.Send) -> None:
        self.scope, self.base_send = scope, send
        await receive()  # websocket.connect
        try:
            chosen = await self._admit()
        except handshake.Refused as refusal:
            await self._refuse(refusal)
            return
        self.answered, self.recorded_findings = {}, set()
        self.minute = self.warnings = 0
        self.outstanding, self.trace, self.has_opened = None, {}, False
        self.commanding, self.background = asyncio.Lock(), set()
        self.presence_registration = PresenceRegistration(self)
        self.recorder = FrameRecorder(self.charger, self.version)
        self.account, self.is_closing = budgets.ledger.of(self.pk), False
        self.boot_wait = BootWait(self._send_held)
        self._use_settings(**{name: getattr(self.charger, name) for name in OF_SOCKET})
        try:
            # Accept before registering, because a handshake that the charger has given up must not replace a newer
            # socket.
            await self.send({"type": "websocket.accept", "subprotocol": chosen})
            opened = connections.ConnectionOpened(self.pk, self.charger.admitted_at, self.version.subprotocol)
            newest = await writer.submit_and_wait(connections.open_sockets, opened)
            if newest is None:
                await self.close_replaced()
                return
            self.newest, self.has_opened = newest, True
            metrics.opened_sockets.inc()
            await self.presence_registration.begin()
            sockets.add(self)
            await self._listen(receive)
        except OSError:  # the charger has disconnected during the handshake
            logger.info("%s: disconnected during the handshake", self.charger)
        finally:
            await self._disconnect()

    # --- opening and closing -----------------------------------------------------------------

    async def _admit(self) -> str | None:
        charger_id = handshake.charger_id_in(self.scope["raw_path"])
        context.charger_id.set(charger_id)  # valid for this socket alone, because it has its own asyncio task
        self.version, chosen = handshake.negotiate(list(self.scope["subprotocols"]))
        self.handlers = HANDLERS[self.version]
        request = handshake.request(charger_id, self.scope)
        limiter.check(request)
        try:
            self.charger = await writer.submit_and_wait(handshake.admit, request)
        except handshake.Refused as refusal:
            limiter.refuse(request, refusal.credentials)
            raise
        limiter.admit(charger_id)
        self.pk = self.charger.pk
        logger.info(
            "%s: connected, subprotocol %s",
            charger_id,
            chosen or f"not offered, taken for {self.version}",
        )
        return chosen

    def _use_settings(
        self,
        message_log: str,
        validation: str,
        ping_interval: int | None,
        ping_timeout: int | None,
        boot_wait: int | None,
    ) -> None:
        """Apply these columns of the charger to this socket."""
        self.recorder.switch(message_log)
        self.is_lenient = is_lenient(validation)
        if use := self.scope.get("keep_alive"):  # see `config.websocket`
            use(*keep_alive(ping_interval, ping_timeout))
        self.boot_wait.limit(seconds_before_commands(boot_wait))

    async def _refuse(self, refusal: handshake.Refused) -> None:
        refused.note(context.charger_id.get() or "", refusal, handshake.address_in(self.scope))
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="ocpp"'))
        if refusal.status == 429:
            headers.append((b"retry-after", b"60"))
        with suppress(OSError):  # the charger may have disconnected
            await self.send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
            await self.send({"type": "websocket.http.response.body", "body": f"{refusal.reason}\n".encode()})

    async def _disconnect(self) -> None:
        sockets.remove(self)
        budgets.ledger.leave(self.pk, self.account)
        self.boot_wait.stop()
        await self.presence_registration.stop()
        if self.outstanding:
            await mailbox.deliver(self.outstanding, {"type": "lost"})
        await self.presence_registration.leave()
        if self.has_opened:
            await writer.submit_and_wait(
                connections.close_sockets, connections.ConnectionClosed(self.pk, self.newest.opened_at)
            )
        await asyncio.gather(*self.background)  # an answer may still be delivered to its task
        logger.info("%s: disconnected", self.charger)

    def in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def close_replaced(self, code: int = REPLACED, reason: str = "Replaced by a newer connection") -> None:
        """Close this socket, by default because a newer socket of the same charger replaces it."""
        self.is_closing = True
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            logger.info("%s: the socket was closed already", self.charger)

    # --- from the charger --------------------------------------------------------------------

    async def _listen(self, receive: handshake.Receive) -> None:
        while (event := await receive())["type"] != "websocket.disconnect":
            text: str = event.get("text") or ""
            try:
                if (wait := self.account.receive(len(text or event.get("bytes") or ""))) > 0:
                    await self._slow_down(wait)
                if not text and event.get("text") is None:
                    text = event["bytes"][:MAX_FRAME_LENGTH].decode(errors="replace")  # no more of it is stored
                    raise frames.Unreadable("a binary frame")
                self.is_large = len(text) > LARGE_FRAME
                frame = await self._run_for_frame(frames.parse, text, self.version, self.is_lenient)
                self.recorder.on_received(text, frame)
                await self._on_frame(frame)
            except frames.BadCall as error:
                self.recorder.on_received(text)
                await self._refuse_unusable(error.message_id, error, error.action, text)
            except frames.Unreadable as error:
                writer.note_seen(self.pk)
                findings.add(self.pk, "", {("", "unreadable"): text})
                self.recorder.on_received(text)
                self.recorder.refuse()
                metrics.count_message(metrics.OTHER, "Unreadable")
                self._warn("%s: ignored %s: %s", self.charger, InLog(text, self.version), error)
            except Exception:  # noqa: BLE001  (a fault of one frame must not close the socket)
                logger.exception("%s: could not handle %s", self.charger, InLog(text, self.version))
        self.recorder.closed(event.get("code"), event.get("reason"))
        metrics.count_close(event.get("code"))

    async def _slow_down(self, wait: float) -> None:
        """Wait `wait` seconds before the current frame, so that the charger keeps to its budgets."""
        for name in self.account.overdrawn:
            budget = budgets.BUDGETS[name]
            findings.add(self.pk, "", {budget.finding: budget.limit})
        if not self.is_closing:  # frames of a replaced socket are not stored, so they cost little
            await asyncio.sleep(wait)

    async def _run_for_frame(self, function: Callable[..., T], *arguments: object) -> T:
        """Return `function(*arguments)`, which reads the current frame. A large frame is read in a thread."""
        return await asyncio.to_thread(function, *arguments) if self.is_large else function(*arguments)

    def _warn(self, *message: Any) -> None:
        """Log a warning, at most MAX_WARNINGS_PER_MINUTE, because a charger's bad frames must not fill the disk."""
        minute = int(time.monotonic() / 60)
        if minute != self.minute:
            self.minute, self.warnings = minute, 0
        self.warnings += 1
        if self.warnings <= MAX_WARNINGS_PER_MINUTE:
            logger.warning(*message)

    async def _on_frame(self, frame: frames.Call | frames.Reply) -> None:
        if isinstance(frame, frames.Reply):
            writer.note_seen(self.pk)
            await self._on_reply(frame)
            return
        try:
            await self._on_call(frame)
        except Unusable as error:
            await self._refuse_unusable(frame.message_id, error, frame.action, frame.payload)
        except frames.CallError as error:
            await self._refuse_call(frame.message_id, error, frame.action)
        except Exception:  # noqa: BLE001  (every CALL must be answered)
            logger.exception("%s: could not process %s, answered InternalError", self.charger, frame.action)
            await self._refuse_call(frame.message_id, frames.CallError("InternalError"), frame.action)

    async def _refuse_unusable(
        self, message_id: str, error: frames.CallError, action: str, sent: str | dict[str, Any]
    ) -> None:
        """Refuse a CALL in which nothing can be used. If it is about a transaction, store it first."""
        await self._store_refused(action, sent, error)
        known = action if action in self.version.schemas.actions else ""
        findings.add(self.pk, known, {(error.field if known else action, "rejected"): sent})
        await self._refuse_call(message_id, error, action)

    async def _store_refused(self, action: str, sent: str | dict[str, Any], error: frames.CallError) -> None:
        if action in self.version.starts_and_stops:
            self.account.spend("transactions")
        if action in self.version.about_transactions:
            text = sent if isinstance(sent, str) else (await self._run_for_frame(orjson.dumps, sent)).decode()
            message = RefusedMessage(self.pk, action, text, str(error), datetime.now(UTC))
            try:
                await writer.submit_and_wait(refused_messages.store, message)
            except Exception:  # noqa: BLE001  (the writer has logged the cause; every CALL must be answered)
                logger.error("%s: a refused %s could not be stored for the operator", self.charger, action)

    async def _refuse_call(self, message_id: str, error: frames.CallError, action: str = "") -> None:
        writer.note_seen(self.pk)
        self.recorder.refuse()
        metrics.count_message(action or metrics.OTHER, error.code)
        self._warn("%s: %s %s", self.charger, message_id, error)
        await self._write(frames.call_error(message_id, error), message_id, action)

    @tracing.traced(_of_call, quiet=frames.CallError)
    async def _on_call(self, frame: frames.Call) -> None:
        if answer := self._answer_to(frame):
            writer.note_seen(self.pk)
            metrics.count_message(frame.action, "repeated")
            await self._write(answer, frame.message_id, frame.action)
            return
        if frame.action not in self.handlers:
            known = frame.action in self.version.schemas.actions
            raise Unusable("NotSupported" if known else "NotImplemented", f"{frame.action!r:.100}")
        try:
            arguments = self.version, frame.action, frame.payload, self.is_lenient, frame.is_clean
            reading = await self._run_for_frame(tolerance.read_request, *arguments)
        except schemas.Violation as violation:
            raise Unusable(violation.code, str(violation), violation.field) from violation
        call = self._call(frame)
        if reading is not None:
            self._use(reading, call, frame)
        try:
            answer = await self._submit(call)
            if not frames.is_result(answer):
                self.recorder.refuse()
            metrics.count_message(frame.action, frames.code_of(answer))
            await self._write(answer, frame.message_id, frame.action)
        except StaleConnection:  # the charger has a newer socket, or has been deleted
            metrics.count_message(frame.action, "outdated")
            await self.close_replaced()

    def _use(self, reading: tolerance.Reading, call: Call, frame: frames.Call) -> None:
        """Use the readable part of a payload that breaks its schema. Store the frame for the first such finding."""
        call.payload, call.findings, call.as_sent = reading.payload, reading.findings, reading.as_sent
        if not frame.is_json:
            call.find("", "unreadable", frame.payload)
        new = {(call.action, *finding) for finding in call.findings} - self.recorded_findings
        if new and len(self.recorded_findings) < MAX_RECORDED_FINDINGS:
            self.recorded_findings |= new
            self.recorder.store_last()

    def _call(self, frame: frames.Call) -> Call:
        return Call(
            charger=self.pk,
            message_id=frame.message_id,
            action=frame.action,
            payload=frame.payload,
            received_at=datetime.now(UTC),
            digest=frame.digest,
            socket=self.newest.opened_at,
            version=self.version,
        )

    def _answer_to(self, frame: frames.Call) -> str | None:
        """Return the answer already sent to this CALL, or None. Raise `Unusable` for another CALL with its id."""
        if (frame.message_id, frame.digest) == (self.newest.last_call_id, self.newest.last_call_digest):
            return as_sent(self.newest.last_answer)
        known, answer = self.answered.get(frame.message_id, (frame.digest, None))
        if known != frame.digest:
            raise Unusable("GenericError", "This message id was used for another CALL.")
        return answer

    async def _submit(self, call: Call) -> str:
        """Submit `call` to the batch writer and return the text of its answer after the commit.

        The next frame is read after that, so that the CALLs of a charger are processed in order.
        """
        if call.action in self.version.starts_and_stops:
            self.account.spend("transactions")
        try:
            answer = await writer.submit_and_wait(self.handlers[call.action], call)
            if call.rows:
                self.account.spend("rows", call.rows)
        except StaleConnection:
            raise
        except Exception:  # noqa: BLE001  (the writer has logged the cause)
            error = frames.CallError("InternalError", f"{call.action} could not be stored.")
            await self._store_refused(call.action, call.payload, error)
            return frames.call_error(call.message_id, error)
        self._remember(call, answer)
        return answer

    def _remember(self, call: Call, answer: str) -> None:
        if call.action in call.version.idempotent or not frames.is_result(answer):
            return
        self.answered.pop(call.message_id, None)
        self.answered[call.message_id] = (call.digest, answer)
        if len(self.answered) > MAX_REMEMBERED_ANSWERS:
            del self.answered[next(iter(self.answered))]

    async def _on_reply(self, reply: frames.Reply) -> None:
        event: mailbox.Answer = {"type": "reply", "payload": reply.payload}
        if reply.error:
            event = {"type": "error", "error": reply.error}
        if reply.message_id == self.outstanding:
            self.outstanding = None
            # The delivery is not awaited, because Redis may hang.
            self.in_background(self._deliver_reply(reply.message_id, event, self.trace))
        else:
            await self._store_late_reply(reply.message_id, event)

    async def _deliver_reply(self, task_id: str, event: mailbox.Answer, trace: Mapping[str, str]) -> None:
        context.task_id.set(task_id)
        try:
            with tracing.span(f"{event['type']} of charger", "server", trace, charger_id=self.charger.identity):
                if not await mailbox.deliver(task_id, event):
                    await self._store_late_reply(task_id, event)
        except Exception:  # noqa: BLE001  (an unhandled exception would end `_disconnect` early)
            logger.exception("%s: could not deliver the answer to command %s", self.charger, task_id)

    async def _store_late_reply(self, task_id: str, event: mailbox.Answer) -> None:
        if await writer.submit_and_wait(delivery.store_late_replies, LateReply(self.pk, task_id, event)):
            metrics.late_replies.inc()
        else:
            metrics.unasked_replies.inc()
            self._warn("%s: ignored an answer, because no CALL has the message id %.40r", self.charger, task_id)

    async def _write(self, text: str, message_id: str, action: str) -> bool:
        self.recorder.on_sent(text, message_id, action)
        try:
            await self.base_send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError):  # the socket was closed meanwhile; the message is stored
            return False
        if not self.boot_wait.has_ended:  # before that only answers are written
            self.boot_wait.end()
        return True

    # --- to the charger ----------------------------------------------------------------------

    async def handle_control_message(self, layer: ChannelLayer, channel: str) -> None:
        """Handle the messages of `channel` until cancelled."""
        while True:
            message = await layer.receive(channel)
            context.task_id.set(message.get("task_id"))
            try:
                await self._handle_control(message.pop("type"), message)
            except Exception:  # noqa: BLE001  (the charger must stay reachable; the command is sent again)
                # The message of a command is not logged, because it may hold a key.
                logger.exception("%s: could not handle %s", self.charger, message.get("task_id", message))

    async def _handle_control(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "ocpp.close":
            await self.close_replaced(**message)
        elif kind == "ocpp.settings":
            self._use_settings(**message)
        elif kind == "ocpp.watch":
            self.recorder.watch(message["seconds"])
        elif not self.boot_wait.hold(command := cast(CommandMessage, message)):
            await self._send_command(command)

    def _send_held(self, message: CommandMessage) -> None:
        self.in_background(self._send_held_command(message))

    async def _send_held_command(self, message: CommandMessage) -> None:
        context.task_id.set(message["task_id"])
        try:
            await self._send_command(message)
        except Exception:  # noqa: BLE001  (the command is sent again)
            logger.exception("%s: could not send command %s", self.charger, message["task_id"])

    async def _send_command(self, message: CommandMessage) -> None:
        action, trace = message["action"], message.get("trace")
        with tracing.span(f"{action} to charger", "client", trace, task_id=message["task_id"]):
            async with self.commanding:
                # A command must not be claimed for a socket that has ended.
                if not self.presence_registration.has_ended:
                    await self._command(message)

    async def _command(self, message: CommandMessage) -> None:
        """Claim a command and write its CALL. The claim is committed first, so the CALL is never written twice."""
        task_id = message["task_id"]
        sent_at = await writer.submit_and_wait(delivery.claim, Claim(self.pk, task_id, uuid4().hex))
        if sent_at is None:
            return
        self.outstanding, self.trace = task_id, tracing.carried()
        call = frames.call(task_id, message["action"], message["payload"])
        if await self._write(call, task_id, message["action"]):
            await mailbox.deliver(task_id, {"type": "sent", "at": sent_at.isoformat()})
        else:
            await mailbox.deliver(task_id, {"type": "lost"})
