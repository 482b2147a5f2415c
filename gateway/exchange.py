"""The exchange of frames with one charger: answer its CALLs, pass on its replies, and write commands."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from chargers import metrics
from chargers.models.charger import is_lenient
from chargers.models.messages import MAX_FRAME_LENGTH
from chargers.services import budgets, connections, findings
from commands.services import delivery, mailbox
from commands.services.delivery import Claim, LateReply
from core.observability import context, tracing
from core.ocpp import frames, schemas, tolerance
from core.ocpp.calls import Call
from core.ocpp.redaction import HIDDEN, key_codes
from gateway import acceptance, handshake, lookups
from gateway.boot_wait import BootWait, CommandMessage
from gateway.common import Lookup
from gateway.message_log import FrameRecorder
from gateway.protocols import HANDLERS, LOOKUPS
from gateway.refusals import Refusals
from gateway.retries import RecentAnswers, StaleConnection
from gateway.sockets import writer

if TYPE_CHECKING:
    from gateway.consumer import ChargerConsumer

logger = logging.getLogger(__name__)

LARGE_FRAME = 16 * 1024  # characters; a larger frame is parsed in a thread, because other sockets would wait
UNACCEPTABLE = 1008  # close code for a charger that breaks a rule (RFC 6455 §7.4.1, "policy violation")
MAX_RECORDED_FINDINGS = 200  # kinds of findings of one socket for which the message log stores a frame


def _of_call(exchange: "Exchange", frame: frames.CallFrame, /) -> tuple[str, dict[str, tracing.Attribute]]:
    """Return the name and the attributes of the span of a CALL."""
    action = frame.action if frame.action in exchange.version.schemas.actions else "unknown action"
    return f"{action} from charger", {"charger_id": exchange.charger.identity, "message_id": frame.message_id}


class Exchange:
    """The frames of `socket`, from when its handshake is accepted. `listen` begins when the socket has opened."""

    newest: connections.Newest  # from when the socket has opened
    answers: RecentAnswers
    recorded_findings: frozenset[tuple[str, str, str]] = frozenset()  # (action, field, kind) with a stored frame

    def __init__(self, socket: "ChargerConsumer") -> None:
        self.socket, self.charger, self.version = socket, socket.charger, socket.version
        self.pk, self.handlers = socket.charger.pk, HANDLERS[socket.version]
        self.lookups = LOOKUPS.get(socket.version, {})
        self.is_lenient = is_lenient(socket.charger.validation)
        self.is_busy = False  # while a frame is processed
        self.idle: asyncio.Future[None] | None = None  # on which `listen` waits
        self.is_large = False  # whether the current frame is
        self.outstanding: str | None = None  # the task of the command that the charger has not answered
        self.trace: dict[str, str] = {}  # of the outstanding command
        self.sent_at = ""  # the time of its claim (ISO 8601)
        self.acknowledgement: asyncio.TimerHandle | None = None  # delivers its event `sent`
        self.commanding = asyncio.Lock()
        self.account = budgets.ledger.of(self.pk)
        self.recorder = FrameRecorder(self.charger, self.version)
        self.refusals = Refusals(self)
        self.boot_wait = BootWait(self._send_in_background)

    # --- from the charger --------------------------------------------------------------------

    async def listen(self, newest: connections.Newest, receive: handshake.Receive) -> None:
        """Process the frames of the charger until it disconnects, most of them by `take`."""
        self.newest, self.answers = newest, RecentAnswers(newest)
        if not tracing.IS_ON:
            self.socket.wire.read_by(self.take)
        while (event := await receive())["type"] != "websocket.disconnect":
            await self._become_busy()
            await self._on_event(event)
            self.is_busy = False
        await self._become_busy()
        self.recorder.closed(event.get("code"), event.get("reason"))
        metrics.count_close(event.get("code"))

    async def _become_busy(self) -> None:
        """Wait until the CALL that `take` has submitted is answered. Frames received from now on are queued."""
        if self.is_busy:
            self.idle = asyncio.get_running_loop().create_future()
            await self.idle
        self.is_busy = True

    async def _on_event(self, event: dict[str, Any]) -> None:
        """Process one frame. An error does not close the socket."""
        text, frame = event.get("text"), None
        try:
            if (wait := self.account.receive(len(event["bytes"] if text is None else text))) > 0:
                await self._slow_down(wait)
            if text is None:
                text = event["bytes"][:MAX_FRAME_LENGTH].decode(errors="replace")  # no more of it is stored
                raise frames.Unreadable("a binary frame")
            self.is_large = len(text) > LARGE_FRAME
            arguments = text, self.version, self.is_lenient
            frame = await asyncio.to_thread(frames.parse, *arguments) if self.is_large else frames.parse(*arguments)
            self.recorder.on_received(text, frame)
            if isinstance(frame, frames.CallFrame):
                await self._on_call(frame)
            else:
                await self._on_reply(frame)
        except Exception as error:  # noqa: BLE001  (every CALL must be answered)
            await self.refusals.answer(error, text or "", frame)

    def take(self, text: str) -> bool:
        """Submit a usual CALL, and return whether `text` is one. `listen` gets all other frames.

        It is answered without a task of asyncio, because resuming one for each step costs more than the steps.
        """
        if self.is_busy or len(text) > LARGE_FRAME or not writer.has_room:
            return False
        try:
            frame = frames.parse(text, self.version, self.is_lenient)
            if not isinstance(frame, frames.CallFrame) or self.answers.find(frame):
                return False
            reading = self._check(frame)
            if self._lookup(frame.action, frame.payload):
                return False
        except Exception:  # noqa: BLE001  (`listen` finds the same error, and refuses the frame)
            return False
        if not self.account.receive_at_once(len(text)):
            return False
        self.recorder.on_received(text, frame)
        call = self._call(frame, reading)
        writer.submit(self.handlers[call.action], call, partial(self._on_outcome, frame, call))
        self.is_busy = True
        return True

    def _on_outcome(self, frame: frames.CallFrame, call: Call, outcome: object) -> None:
        """Answer a CALL that `take` has submitted."""
        if not isinstance(outcome, str) or not self.socket.wire.write_text(outcome):
            self.socket.in_background(self._finish(frame, call, outcome))
            return
        self._become_idle()  # first, because an error below must not keep the socket busy forever
        self._note_outcome(call, frames.code_of(outcome))
        self.recorder.on_sent(outcome, call.message_id, call.action)
        self._end_boot_wait()
        self._close_if_wanted(call)

    async def _finish(self, frame: frames.CallFrame, call: Call, outcome: Any) -> None:
        try:
            await self._conclude(call, outcome)
        except Exception as error:  # noqa: BLE001  (every CALL must be answered)
            await self.refusals.answer(error, "", frame)
        finally:
            self._become_idle()

    def _become_idle(self) -> None:
        if self.idle is None or self.idle.done():
            self.is_busy = False
        else:  # it stays busy, with the frame for which `listen` waits
            self.idle.set_result(None)

    async def _slow_down(self, wait: float) -> None:
        """Wait `wait` seconds before the current frame, so that the charger keeps to its budgets."""
        for name in self.account.overdrawn:
            budget = budgets.BUDGETS[name]
            findings.add(self.pk, "", {budget.finding: budget.limit})
        if not self.socket.is_closing:  # frames of a replaced socket are not stored, so they cost little
            await asyncio.sleep(wait)

    @tracing.traced(_of_call, quiet=frames.CallError)
    async def _on_call(self, frame: frames.CallFrame) -> None:
        """Answer a CALL after the commit. The next frame is read after that, so CALLs are processed in order."""
        if answer := self.answers.find(frame):
            writer.note_seen(self.pk)
            metrics.count_message(frame.action, "repeated")
            await self.write(answer, frame.message_id, frame.action)
            return
        reading = await asyncio.to_thread(self._check, frame) if self.is_large else self._check(frame)
        call = self._call(frame, reading)
        if (lookup := self._lookup(call.action, call.payload)) and await self._may_look_up(call):
            call.fetched = await lookups.run(lookup, call, self.charger.identity)
        outcome: str | Exception
        try:
            outcome = await writer.submit_and_wait(self.handlers[call.action], call)
        except Exception as failure:  # noqa: BLE001  (the writer has logged the cause)
            outcome = failure
        await self._conclude(call, outcome)

    async def _conclude(self, call: Call, outcome: str | Exception) -> None:
        """Answer a CALL that the batch writer has processed, or raise the `CallError` of its failure."""
        if isinstance(outcome, Exception):
            await self._on_failure(call, outcome)
            return
        self._note_outcome(call, frames.code_of(outcome))
        await self.write(outcome, call.message_id, call.action)
        self._close_if_wanted(call)

    def _close_if_wanted(self, call: Call) -> None:
        """Close the socket if the handler of `call` has said so. The charger has its answer then."""
        if call.closes:
            self.socket.in_background(self.socket.close_replaced(UNACCEPTABLE, call.closes))

    def _lookup(self, action: str, payload: dict[str, Any]) -> Lookup | None:
        """Return what a message needs from another server, None if it needs nothing."""
        lookup = self.lookups.get(action)
        return lookup if lookup is not None and lookup.is_needed(payload) else None

    async def _may_look_up(self, call: Call) -> bool:
        """Whether the charger is accepted, so that a request to another server may precede its handler."""
        may: bool = await writer.submit_and_wait(acceptance.may_look_up, acceptance.BeforeLookup(call))
        return may

    async def _on_failure(self, call: Call, failure: Exception) -> None:
        if isinstance(failure, StaleConnection):  # the charger has a newer socket, or has been deleted
            metrics.count_message(call.action, "outdated")
            await self.socket.close_replaced()
            return
        error = frames.CallError("InternalError", f"{call.action} could not be stored.")
        await self.refusals.store(call.action, call.payload, error)
        raise error from failure

    def _check(self, frame: frames.CallFrame) -> tolerance.Reading | None:
        """Check the payload: return None if it is valid, else its readable part. Raise `UnusableCall`."""
        if frame.action not in self.handlers:
            if frame.action in self.version.schemas.actions:
                raise frames.UnusableCall("NotSupported", f"{frame.action!r} is not accepted from a charger.")
            raise frames.UnusableCall("NotImplemented", f"{frame.action!r:.100} is no message of {self.version}.")
        try:
            return tolerance.read_request(self.version, frame.action, frame.payload, self.is_lenient, frame.is_clean)
        except schemas.Violation as violation:
            raise frames.UnusableCall(violation.code, str(violation), violation.field) from violation

    def _call(self, frame: frames.CallFrame, reading: tolerance.Reading | None) -> Call:
        call = Call(
            charger=self.pk,
            message_id=frame.message_id,
            action=frame.action,
            payload=frame.payload,
            received_at=datetime.now(UTC),
            socket=self.newest.opened_at,
            version=self.version,
            serials=self.charger.serials,
        )
        if reading is not None:
            self._use(reading, call, frame)
        if call.action in self.version.starts_and_stops:
            self.account.spend("transactions")
        return call

    def _use(self, reading: tolerance.Reading, call: Call, frame: frames.CallFrame) -> None:
        """Use the readable part of a payload that breaks its schema. Store the frame for the first such finding."""
        codes = [*key_codes(frame.payload)]
        call.payload, call.as_sent = reading.payload, reading.as_sent
        call.findings = {at: HIDDEN if value in codes else value for at, value in reading.findings.items()}
        call.payload_as_sent = frame.payload
        if not frame.is_json:
            call.find("", "unreadable", frame.payload)
        new = {(call.action, *finding) for finding in call.findings} - self.recorded_findings
        if new and len(self.recorded_findings) < MAX_RECORDED_FINDINGS:
            self.recorded_findings |= new
            self.recorder.store_last()

    def _note_outcome(self, call: Call, outcome: str) -> None:
        metrics.count_message(call.action, outcome)
        if call.rows:
            self.account.spend("rows", call.rows)
        if outcome == "result":
            self.answers.add(call)
        else:
            self.recorder.refuse()

    async def _on_reply(self, reply: frames.Reply) -> None:
        writer.note_seen(self.pk)
        event: mailbox.Answer = {"type": "reply", "payload": reply.payload}
        if reply.error:
            event = {"type": "error", "error": reply.error}
        if reply.message_id == self.outstanding:
            self._end_outstanding()
            event["sent_at"] = self.sent_at
            # The delivery is not awaited, because Redis may hang.
            self.socket.in_background(self._deliver_reply(reply.message_id, event, self.trace))
        else:
            await self._store_late_reply(reply.message_id, event)

    async def _deliver_reply(self, task_id: str, event: mailbox.Answer, trace: Mapping[str, str]) -> None:
        context.task_id.set(task_id)
        try:
            with tracing.span(f"{event['type']} of charger", "server", trace, charger_id=self.charger.identity):
                if not await mailbox.deliver(task_id, event):
                    await self._store_late_reply(task_id, event)
        except Exception:  # noqa: BLE001  (an unhandled exception would end the socket's `_disconnect` early)
            logger.exception("%s: could not deliver the answer to command %s", self.charger, task_id)

    async def _store_late_reply(self, task_id: str, event: mailbox.Answer) -> None:
        if await writer.submit_and_wait(delivery.store_late_replies, LateReply(self.pk, task_id, event)):
            metrics.late_replies.inc()
        else:
            metrics.unasked_replies.inc()
            why = "ignored an answer, because no CALL has the message id"
            self.refusals.warn(f"%s: {why} %.40r", self.charger, task_id)

    # --- to the charger ----------------------------------------------------------------------

    async def write(self, text: str, message_id: str, action: str) -> bool:
        """Write a frame, and return whether the socket is open."""
        self.recorder.on_sent(text, message_id, action)
        try:
            await self.socket.base_send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError):  # the socket was closed meanwhile; the message is stored
            return False
        self._end_boot_wait()
        return True

    def _end_boot_wait(self) -> None:
        if not self.boot_wait.has_ended:  # before that only answers are written
            self.boot_wait.end()

    def on_control(self, message: dict[str, Any]) -> None:
        """Handle a control message, which another process has published for this socket."""
        kind = message.pop("type")
        if kind == "ocpp.close":
            self.socket.in_background(self.socket.close_replaced(**message))
        elif kind == "ocpp.settings":
            self.socket.use_settings(**message)
        elif kind == "ocpp.watch":
            self.recorder.watch(message["seconds"])
        elif not self.boot_wait.hold(command := cast(CommandMessage, message)):
            self._send_in_background(command)

    def _send_in_background(self, message: CommandMessage) -> None:
        self.socket.in_background(self._try_to_send(message))

    async def _try_to_send(self, message: CommandMessage) -> None:
        context.task_id.set(message["task_id"])
        try:
            await self._send_in_turn(message)
        except Exception:  # noqa: BLE001  (the command is sent again)
            logger.exception("%s: could not send command %s", self.charger, message["task_id"])

    async def _send_in_turn(self, message: CommandMessage) -> None:
        action, trace = message["action"], message.get("trace")
        with tracing.span(f"{action} to charger", "client", trace, task_id=message["task_id"]):
            async with self.commanding:
                # A command must not be claimed for a socket that has ended.
                if not self.socket.presence_registration.has_ended:
                    await self._claim_and_write(message)

    async def _claim_and_write(self, message: CommandMessage) -> None:
        """Claim a command and write its CALL. The claim is committed first, so the CALL is never written twice."""
        task_id = message["task_id"]
        sent_at = await writer.submit_and_wait(delivery.claim, Claim(self.pk, task_id, uuid4().hex))
        if sent_at is None:
            return
        self.outstanding, self.trace, self.sent_at = task_id, tracing.carried(), sent_at.isoformat()
        call = frames.call(task_id, message["action"], message["payload"])
        if await self.write(call, task_id, message["action"]):
            if self.outstanding == task_id:  # its answer may have arrived already
                loop = asyncio.get_running_loop()
                self.acknowledgement = loop.call_later(mailbox.SENT_DELAY_S, self._acknowledge, task_id)
        else:
            await self.report_lost(task_id)

    def _acknowledge(self, task_id: str) -> None:
        self.socket.in_background(self._deliver_sent(task_id))

    async def _deliver_sent(self, task_id: str) -> None:
        await mailbox.deliver(task_id, {"type": "sent", "sent_at": self.sent_at})

    def _end_outstanding(self) -> None:
        self.outstanding = None
        if self.acknowledgement:
            self.acknowledgement.cancel()

    async def report_lost(self, task_id: str) -> None:
        """Report that the socket has ended before the charger has answered the command `task_id`."""
        self._end_outstanding()
        await mailbox.deliver(task_id, {"type": "lost", "sent_at": self.sent_at})
