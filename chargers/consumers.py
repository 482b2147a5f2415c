"""A consumer is one charger's socket: it frames, validates and answers; it knows nothing of actions."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import orjson
from channels.consumer import AsyncConsumer

from chargers import (
    budgets,
    context,
    frames,
    gateway,
    handshake,
    metrics,
    registry,
    schemas,
    sockets,
    tolerance,
    tracing,
)
from chargers.boot_wait import BootWait
from chargers.inbox import Call
from chargers.masking import InLog
from chargers.message_log import FrameRecorder
from chargers.models.charger import OF_SOCKET, is_lenient, keep_alive, seconds_before_commands
from chargers.models.messages import MAX_FRAME_LENGTH
from chargers.presence_registration import PresenceRegistration
from chargers.refusals import refused
from chargers.retries import IDEMPOTENT_ACTIONS, StaleConnection, as_sent
from chargers.sockets import inbox

logger = logging.getLogger(__name__)
door = handshake.HandshakeLimiter()

REPLACED = 4001  # close code: a newer socket of the same charger took over
COMPLAINTS = 60  # lines a minute in the log about what one socket brings
REMEMBERED = 8  # answers of this socket that are given again to a repeated CALL
LARGE = 16 * 1024  # characters of a frame, past which it is not read in the event loop: others would wait
MOST_FOUND = 200  # kinds of findings of one socket for which a frame is kept
OF_TRANSACTIONS = ("StartTransaction", "StopTransaction", "MeterValues")


class Unusable(frames.CallError):
    """A CALL is refused because nothing in it can be used; `field` is the member that is at fault."""

    def __init__(self, code, description="", field=""):
        super().__init__(code, description)
        self.field = field


def _of_call(socket, frame):
    """The name and the attributes of the span of a CALL."""
    action = frame.action if frame.action in schemas.ACTIONS else "unknown action"
    return f"{action} from charger", {"charger_id": socket.charger.charger_id, "message_id": frame.message_id}


class ChargerConsumer(AsyncConsumer):
    """Its own receive loop takes the place of Channels' dispatch, which costs more than the message itself."""

    async def __call__(self, scope, receive, send):
        self.scope, self.base_send = scope, send
        await receive()  # websocket.connect
        try:
            chosen = await self._admit()
        except handshake.Refused as refusal:
            await self._refuse(refusal)
            return
        self.answered, self.found = {}, set()
        self.minute = self.complaints = 0
        self.outstanding = self.newest = None
        self.trace = {}  # of the command that is outstanding
        self.commanding, self.background = asyncio.Lock(), set()
        self.enrolment, self.recorder = PresenceRegistration(self), FrameRecorder(self.charger)
        self.account, self.is_closing = budgets.ledger.of(self.pk), False
        self.boot_wait = BootWait(self._send_held)
        self._use_settings(**{name: getattr(self.charger, name) for name in OF_SOCKET})
        try:
            # Before it is reachable: a handshake that its charger gave up must not displace a newer socket.
            await self.send({"type": "websocket.accept", "subprotocol": chosen})
            opened = handshake.ConnectionOpened(self.pk, self.charger.admitted_at)
            self.newest = await inbox.submit_and_wait(handshake.open_sockets, opened)
            if self.newest is None:
                await self.supersede()
                return
            metrics.opened_sockets.inc()
            await self.enrolment.begin()
            sockets.add(self)
            await self._listen(receive)
        except OSError:  # gone in the middle of the handshake
            logger.info("%s: gone", self.charger)
        finally:
            await self._depart()

    # --- handshake and farewell --------------------------------------------------------------

    async def _admit(self):
        charger_id = handshake.charger_id_in(self.scope["raw_path"])
        context.charger_id.set(charger_id)  # for the rest of this socket, which has an asyncio task of its own
        chosen = handshake.subprotocol(self.scope["subprotocols"])
        knock = handshake.request(charger_id, self.scope)
        door.look(knock)
        try:
            self.charger = await inbox.submit_and_wait(handshake.admit, knock)
        except handshake.Refused as refusal:
            door.refuse(knock, refusal.wanted)
            raise
        door.admit(charger_id)
        self.pk = self.charger.pk
        logger.info("%s: connected, speaks %s", charger_id, chosen or "1.6 without saying so")
        return chosen

    def _use_settings(self, message_log, validation, ping_interval, ping_timeout, boot_wait):
        """Treat this socket as these columns of its charger say, from now on."""
        self.recorder.switch(message_log)
        self.is_lenient = is_lenient(validation)
        if use := self.scope.get("keep_alive"):  # see `config.websocket`
            use(*keep_alive(ping_interval, ping_timeout))
        self.boot_wait.last(seconds_before_commands(boot_wait))

    async def _refuse(self, refusal):
        refused.note(context.charger_id.get() or "", refusal, handshake.address_in(self.scope))
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="ocpp"'))
        if refusal.status == 429:
            headers.append((b"retry-after", b"60"))
        with suppress(OSError):  # it has hung up
            await self.send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
            await self.send({"type": "websocket.http.response.body", "body": f"{refusal.reason}\n".encode()})

    async def _depart(self):
        sockets.remove(self)
        budgets.ledger.leave(self.pk, self.account)
        self.boot_wait.stop()
        await self.enrolment.stop()
        if self.outstanding:
            await gateway.deliver(self.outstanding, {"type": "lost"})
        await self.enrolment.leave()
        if self.newest:
            await inbox.submit_and_wait(
                handshake.close_sockets, handshake.ConnectionClosed(self.pk, self.newest.opened_at)
            )
        await asyncio.gather(*self.background)  # an answer on its way to its task
        logger.info("%s: disconnected", self.charger)

    def in_background(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def supersede(self, code=REPLACED, reason="Replaced by a newer connection"):
        """Close, for a newer socket of the same charger unless told otherwise."""
        self.is_closing = True
        try:
            await self.send({"type": "websocket.close", "code": code, "reason": reason})
        except (OSError, RuntimeError):
            logger.info("%s: was closed already", self.charger)

    # --- from the charger --------------------------------------------------------------------

    async def _listen(self, receive):
        while (event := await receive())["type"] != "websocket.disconnect":
            text = event.get("text")
            try:
                if (wait := self.account.receive(len(text or event.get("bytes") or ""))) > 0:
                    await self._slow_down(wait)
                if text is None:
                    text = event["bytes"][:MAX_FRAME_LENGTH].decode(errors="replace")  # no more of it is kept
                    raise frames.Unreadable("a binary frame")
                self.is_large = len(text) > LARGE
                frame = await self._aside(frames.parse, text, self.is_lenient)
                self.recorder.on_received(text, frame)
                await self._on_frame(frame)
            except frames.BadCall as error:
                self.recorder.on_received(text)
                await self._refuse_unusable(error.message_id, error, error.action, text)
            except frames.Unreadable as error:
                inbox.saw(self.pk)
                inbox.found(self.pk, "", {("", "unreadable"): text})
                self.recorder.on_received(text)
                self.recorder.refuse()
                metrics.count_message(metrics.OTHER, "Unreadable")
                self._complain("%s: ignored %s: %s", self.charger, InLog(text), error)
            except Exception:  # noqa: BLE001  (one frame's fault must not cost the charger its socket)
                logger.exception("%s: could not handle %s", self.charger, InLog(text))
        self.recorder.closed(event.get("code"), event.get("reason"))
        metrics.count_close(event.get("code"))

    async def _slow_down(self, wait):
        """Take the frame in hand, and read the next ones, only when the charger keeps to its budgets again."""
        for name in self.account.overdrawn:
            budget = budgets.BUDGETS[name]
            inbox.found(self.pk, "", {budget.finding: budget.limit})
        if not self.is_closing:  # what is left of a socket that was replaced is not stored, so it costs little
            await asyncio.sleep(wait)

    async def _aside(self, function, *given):
        """`function(*given)`, which reads the frame at hand: in a thread where the frame is large."""
        return await asyncio.to_thread(function, *given) if self.is_large else function(*given)

    def _complain(self, *said):
        """In the log, but not without end: one that sends nothing but nonsense must not fill the disk."""
        minute = int(time.monotonic() / 60)
        if minute != self.minute:
            self.minute, self.complaints = minute, 0
        self.complaints += 1
        if self.complaints <= COMPLAINTS:
            logger.warning(*said)

    async def _on_frame(self, frame):
        if isinstance(frame, frames.Reply):
            inbox.saw(self.pk)
            await self._on_reply(frame)
            return
        try:
            await self._on_call(frame)
        except Unusable as error:
            await self._refuse_unusable(frame.message_id, error, frame.action, frame.payload)
        except frames.CallError as error:
            await self._refuse_call(frame.message_id, error, frame.action)
        except Exception:  # noqa: BLE001  (an answer is owed, whatever went wrong)
            logger.exception("%s: could not take %s", self.charger, frame.action)
            await self._refuse_call(frame.message_id, frames.CallError("InternalError"), frame.action)

    async def _refuse_unusable(self, message_id, error, action, sent):
        """A CALL in which nothing can be used: what it says of a transaction is kept before it is refused."""
        await self._keep_refused(action, sent, error)
        known = action if action in schemas.ACTIONS else ""
        inbox.found(self.pk, known, {(error.field if known else action, "rejected"): sent})
        await self._refuse_call(message_id, error, action)

    async def _keep_refused(self, action, sent, error):
        if action in budgets.OF_A_BILL:
            self.account.spend("transactions")
        if action in OF_TRANSACTIONS and "refused" in registry.hooks:
            text = sent if isinstance(sent, str) else (await self._aside(orjson.dumps, sent)).decode()
            refused = (self.pk, action, text, str(error), datetime.now(UTC))
            try:
                await inbox.submit_and_wait(registry.hooks["refused"], refused)
            except Exception:  # noqa: BLE001  (the inbox has logged it with its cause; an answer is owed)
                logger.error("%s: a refused %s could not be kept", self.charger, action)

    async def _refuse_call(self, message_id, error, action=""):
        inbox.saw(self.pk)
        self.recorder.refuse()
        metrics.count_message(action or metrics.OTHER, error.code)
        self._complain("%s: %s %s", self.charger, message_id, error)
        await self._write(frames.call_error(message_id, error), message_id, action)

    @tracing.traced(_of_call, quiet=frames.CallError)
    async def _on_call(self, frame):
        if answer := self._answer_to(frame):
            inbox.saw(self.pk)
            metrics.count_message(frame.action, "repeated")
            await self._write(answer, frame.message_id, frame.action)
            return
        if frame.action not in registry.actions:
            known = frame.action in schemas.ACTIONS
            raise Unusable("NotSupported" if known else "NotImplemented", f"{frame.action!r:.100}")
        try:
            given = frame.action, frame.payload, self.is_lenient, frame.is_clean
            reading = await self._aside(tolerance.read, *given)
        except schemas.Violation as violation:
            raise Unusable(violation.code, str(violation), violation.field) from violation
        call = self._call(frame)
        if reading is not None:
            self._use(reading, call, frame)
        try:
            answer = await self._settled(call)
            if not frames.is_result(answer):
                self.recorder.refuse()
            metrics.count_message(frame.action, frames.code_of(answer))
            await self._write(answer, frame.message_id, frame.action)
        except StaleConnection:  # the charger has a newer one, or none: it is not known any more
            metrics.count_message(frame.action, "outdated")
            await self.supersede()

    def _use(self, reading, call, frame):
        """Take what could be read of a payload that breaks its schema; the frame itself is kept once a socket."""
        call.payload, call.findings, call.as_sent = reading.payload, reading.findings, reading.as_sent
        if not frame.is_json:
            call.find("", "unreadable", frame.payload)
        new = {(call.action, *found) for found in call.findings} - self.found
        if new and len(self.found) < MOST_FOUND:
            self.found |= new
            self.recorder.keep()

    def _call(self, frame):
        return Call(
            charger=self.pk,
            message_id=frame.message_id,
            action=frame.action,
            payload=frame.payload,
            received_at=datetime.now(UTC),
            digest=frame.digest,
            socket=self.newest.opened_at,
        )

    def _answer_to(self, frame):
        """The answer already given to this very CALL, or None; raises for another CALL with its message id."""
        if (frame.message_id, frame.digest) == (self.newest.last_call_id, self.newest.last_call_digest):
            return as_sent(self.newest.last_answer)
        known, answer = self.answered.get(frame.message_id, (frame.digest, None))
        if known != frame.digest:
            raise Unusable("GenericError", "This message id was used for another CALL.")
        return answer

    async def _settled(self, call):
        """The answer to `call`, once what it says is stored.

        The next frame is read after that: nothing a charger says is settled out of turn.
        """
        if call.action in budgets.OF_A_BILL:
            self.account.spend("transactions")
        try:
            answer = await inbox.submit_and_wait(registry.actions[call.action], call)
            if call.rows:
                self.account.spend("rows", call.rows)
        except StaleConnection:
            raise
        except Exception:  # noqa: BLE001  (the inbox has logged it with its cause)
            error = frames.CallError("InternalError", f"{call.action} could not be stored.")
            await self._keep_refused(call.action, call.payload, error)
            return frames.call_error(call.message_id, error)
        self._remember(call, answer)
        return answer

    def _remember(self, call, answer):
        if call.action in IDEMPOTENT_ACTIONS or not frames.is_result(answer):
            return
        self.answered.pop(call.message_id, None)
        self.answered[call.message_id] = (call.digest, answer)
        if len(self.answered) > REMEMBERED:
            del self.answered[next(iter(self.answered))]

    async def _on_reply(self, reply):
        event = {"type": "reply", "payload": reply.payload}
        if reply.error:
            event = {"type": "error", "error": reply.error}
        if reply.message_id == self.outstanding:
            self.outstanding = None
            self.in_background(self._hand_over(reply.message_id, event, self.trace))  # Redis may hang
        else:
            await self._keep_late(reply.message_id, event)

    async def _hand_over(self, task_id, event, trace):
        context.task_id.set(task_id)
        try:
            with tracing.span(f"{event['type']} of charger", "server", trace, charger_id=self.charger.charger_id):
                if not await gateway.deliver(task_id, event):
                    await self._keep_late(task_id, event)
        except Exception:  # noqa: BLE001  (the inbox has logged it with its cause)
            logger.exception("%s: could not take the answer to %s", self.charger, task_id)

    async def _keep_late(self, task_id, event):
        if await inbox.submit_and_wait(registry.hooks["late_reply"], (self.pk, task_id, event)):
            metrics.late_replies.inc()
        else:
            metrics.unasked_replies.inc()
            self._complain("%s: nothing was asked with message id %.40r", self.charger, task_id)

    async def _write(self, text, message_id, action):
        self.recorder.on_sent(text, message_id, action)
        try:
            await self.base_send({"type": "websocket.send", "text": text})
        except (OSError, RuntimeError):  # closed meanwhile; what was said is stored
            return False
        if not self.boot_wait.over:  # nothing but an answer is written before
            self.boot_wait.end()
        return True

    # --- to the charger ----------------------------------------------------------------------

    async def handle_control_message(self, layer, channel):
        """Do what comes by `channel`, until cancelled."""
        while True:
            message = await layer.receive(channel)
            context.task_id.set(message.get("task_id"))
            try:
                await self._obey(message.pop("type"), message)
            except Exception:  # noqa: BLE001  (a charger must stay reachable; the command is sent again)
                # Not the message itself: it may hold a key.
                logger.exception("%s: could not do %s", self.charger, message.get("task_id", message))

    async def _obey(self, kind, message):
        if kind == "ocpp.close":
            await self.supersede(**message)
        elif kind == "ocpp.settings":
            self._use_settings(**message)
        elif kind == "ocpp.watch":
            self.recorder.watch(message["seconds"])
        elif not self.boot_wait.hold(message):
            await self._send_command(message)

    def _send_held(self, message):
        self.in_background(self._obey_held(message))

    async def _obey_held(self, message):
        context.task_id.set(message["task_id"])
        try:
            await self._send_command(message)
        except Exception:  # noqa: BLE001  (the command is sent again)
            logger.exception("%s: could not do %s", self.charger, message["task_id"])

    async def _send_command(self, message):
        action, trace = message["action"], message.get("trace")
        with tracing.span(f"{action} to charger", "client", trace, task_id=message["task_id"]):
            async with self.commanding:
                if not self.enrolment.gone:  # or it would be claimed for a socket that has ended
                    await self._command(message)

    async def _command(self, message):
        """Claim a command and write its CALL: `sent` is committed first, so it is never written twice."""
        task_id = message["task_id"]
        sent_at = await inbox.submit_and_wait(registry.hooks["claim"], (self.pk, task_id, uuid4().hex))
        if sent_at is None:
            return
        self.outstanding, self.trace = task_id, tracing.carried()
        call = frames.call(task_id, message["action"], message["payload"])
        if await self._write(call, task_id, message["action"]):
            await gateway.deliver(task_id, {"type": "sent", "at": sent_at.isoformat()})
        else:
            await gateway.deliver(task_id, {"type": "lost"})
