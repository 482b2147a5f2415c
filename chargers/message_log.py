"""The message log: frames as they pass, kept and told to those who look on, beside the traffic and never before it.

A socket only notes what passed. One thread a process masks it, publishes what is watched and writes what is to be
kept, in batches; where it can't keep up, what passes is dropped and counted.
"""

import logging
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from django.conf import settings
from django.db import connection
from redis.exceptions import RedisError

from chargers import bulk_sql, faults, frames, metrics
from chargers.masking import masked
from chargers.models.charger import LOG_ALL, LOG_NOTHING
from chargers.models.messages import MAX_FRAME_LENGTH
from chargers.redis import sync_redis

logger = logging.getLogger(__name__)

MOST_WAITING = 20_000  # frames that are not written yet, past which what passes is dropped
MOST_TEXT = 64 * 2**20  # characters of them
LARGEST_BATCH = 2000
TURN = 32  # frames that are masked in one go
BREATH = 0.0005  # seconds after it in which the thread that answers chargers has the interpreter
PAUSE = 0.25  # seconds in which a batch gathers
PATIENCE = 1.0  # seconds until a database that is away is tried again
COMPLAINT = 60  # seconds between two lines in the log
ASKED = 8  # calls of ours whose actions a socket remembers
# Close codes of a side that could do nothing with a frame (RFC 6455 §7.4.1).
FOR_A_FRAME = (1002, 1003, 1007, 1008, 1009)
KINDS = {frames.CALL: "call", frames.CALLRESULT: "result", frames.CALLERROR: "error"}
COLUMNS = ("charger_id", "at", "direction", "kind", "action", "message_id", "frame", "is_error")
LONGEST_ACTION, LONGEST_MESSAGE_ID = 50, 36


def channel(charger):
    """On which frames of a charger (primary key) are published while somebody watches: lists of what `_told` has."""
    return f"ocpp:frames:{charger}"


@dataclass(slots=True)
class LoggedFrame:
    """A frame as it passed: `at` in seconds since the epoch, the rest as far as its socket knows it."""

    charger: int
    at: float
    direction: str
    text: str
    kind: str
    message_id: str
    action: str
    is_error: bool
    is_kept: bool
    is_watched: bool


# --- a socket's side -------------------------------------------------------------------------


class FrameRecorder:
    """Of one socket; all of it is done in the event loop."""

    def __init__(self, charger):
        self.charger = charger.pk
        self.watched_until = 0.0  # by time.monotonic
        self.asked = {}  # message id: action, of calls of ours
        self.last = None  # what came last, until it is answered: as it was noted, or (at, text, what it was read as)
        self.switch(charger.message_log)

    def switch(self, level):
        """`level` is its charger's: "" is as OCPP_MESSAGE_LOG says."""
        level = level or settings.OCPP_MESSAGE_LOG
        self.keeps_all, self.keeps_errors = level == LOG_ALL, level != LOG_NOTHING
        self.notes_all = self.keeps_all or self._is_watched()

    def watch(self, seconds):
        """Tell those who look on of every frame, for `seconds` from now."""
        self.watched_until = time.monotonic() + seconds
        self.notes_all = True

    def on_received(self, text, frame=None):
        """A frame of the charger, and what it was read as (`frames.Call` or `Reply`), if anything."""
        if self.notes_all:
            self.last = self._note("in", text, *self._known(frame))
        elif self.keeps_errors:
            self.last = time.time(), text, frame
            if isinstance(frame, frames.Reply) and frame.error:
                self._note("in", text, *self._known(frame))

    def refuse(self):
        """The frame that came last can't be taken."""
        self._keep_last(is_error=True)

    def keep(self):
        """The frame that came last departs from OCPP in a way that is new on this socket."""
        self._keep_last(is_error=False)

    def _keep_last(self, is_error):
        if self.notes_all and isinstance(self.last, LoggedFrame):
            self.last.is_error, self.last.is_kept = is_error, self.keeps_errors
        elif self.keeps_errors and isinstance(self.last, tuple):
            at, text, frame = self.last
            self._note("in", text, *self._known(frame)[:-1], is_error, at, is_kept=True)

    def on_sent(self, text, message_id, action):
        """A frame to the charger, as it is handed to its socket."""
        kind = KINDS.get(int(text[1]), "other")
        if kind == "call":
            self._remember(message_id, action)
        else:
            self.last = None
        if self.notes_all or (kind == "error" and self.keeps_errors):
            self._note("out", text, kind, message_id, action, kind == "error")

    def closed(self, code, reason):
        """The socket was closed: for a frame, perhaps, that came no further."""
        if code in FOR_A_FRAME and (self.keeps_errors or self.notes_all):
            self._note("in", f"closed with {code} {reason or ''}".strip(), "other", "", "", True)

    def _known(self, frame):
        """(kind, message id, action, whether it is an error)."""
        if isinstance(frame, frames.Call):
            return "call", frame.message_id, frame.action, False
        if isinstance(frame, frames.Reply):
            kind = "error" if frame.error else "result"
            return kind, frame.message_id, self.asked.get(frame.message_id, ""), kind == "error"
        return "", "", "", True

    def _remember(self, message_id, action):
        self.asked[message_id] = action
        if len(self.asked) > ASKED:
            del self.asked[next(iter(self.asked))]

    def _is_watched(self):
        return time.monotonic() < self.watched_until

    def _note(self, direction, text, kind, message_id, action, is_error, at=None, is_kept=False):
        is_watched = self.watched_until > 0 and self._is_watched()
        if self.watched_until and not is_watched:
            self.watched_until, self.notes_all = 0.0, self.keeps_all
        is_kept = is_kept or self.keeps_all or (is_error and self.keeps_errors)
        passed = LoggedFrame(
            self.charger, at or time.time(), direction, text, kind, message_id, action, is_error, is_kept, is_watched
        )
        log.put(passed)
        return passed


# --- the thread that writes ------------------------------------------------------------------


class MessageLogWriter:
    """One a process. `written` and `dropped` are how many frames since it began."""

    def __init__(self):
        self.waiting = deque()
        self.work = threading.Event()
        self.thread = None
        self.text_put = self.text_taken = 0  # characters; each is counted by one thread alone
        self.written = self.refused = self.lost = 0
        self.complained_at = -COMPLAINT

    @property
    def dropped(self):
        return self.refused + self.lost

    def put(self, passed):
        """Called for every frame by the thread that answers chargers: nothing here may wait."""
        if len(self.waiting) >= MOST_WAITING or self.text_put - self.text_taken > MOST_TEXT:
            self.refused += 1
            metrics.messages_dropped.labels("too_many").inc()
            self._complain("The message log can't keep up: %s frames were dropped so far", self.dropped)
            return
        self.text_put += len(passed.text)
        self.waiting.append(passed)
        if not self.work.is_set():
            self.work.set()
        if self.thread is None:
            self.thread = threading.Thread(target=self._write_on_and_on, name="messages", daemon=True)
            self.thread.start()

    def _write_on_and_on(self):
        while True:
            self.work.wait()
            time.sleep(PAUSE)
            self.work.clear()  # before looking: what comes from now on wakes it again
            while self.waiting:
                self._write_batch()

    def _write_batch(self):
        batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), LARGEST_BATCH))]
        try:
            shown = self._masked(batch)
            self._publish([message for message in shown if message.is_watched])
            self._keep([message for message in shown if message.is_kept])
        except Exception:  # noqa: BLE001  (without this thread nothing would ever be kept again)
            self.lost += len(batch)
            metrics.messages_dropped.labels("fault").inc(len(batch))
            logger.exception("%s frames are missing from the message log", len(batch))
        finally:
            connection.close()

    def _masked(self, batch):
        """`batch` as it may be shown, its frames cut."""
        for number, passed in enumerate(batch, 1):
            self.text_taken += len(passed.text)
            is_json = passed.kind in KINDS.values()
            if not passed.kind:
                passed.kind, passed.message_id, passed.action = _read(passed.text)
            text = masked(passed.text, passed.action, is_json)
            passed.text = text[:MAX_FRAME_LENGTH].replace("\0", "\N{SYMBOL FOR NULL}")
            passed.message_id = passed.message_id[:LONGEST_MESSAGE_ID].replace("\0", "")
            passed.action = passed.action[:LONGEST_ACTION].replace("\0", "")
            if number % TURN == 0:
                time.sleep(BREATH)
        return batch

    def _publish(self, watched):
        told = defaultdict(list)
        for passed in watched:
            told[passed.charger].append(_told(passed))
        try:
            for charger, messages in told.items():
                sync_redis().publish(channel(charger), orjson.dumps(messages).decode())
        except RedisError as error:
            self._complain("Frames were not told to those who look on, Redis is away: %s", error)

    def _keep(self, kept):
        lines = [_line(passed) for passed in kept]
        while True:
            try:
                bulk_sql.copy("chargers_message", COLUMNS, lines)
                break
            except Exception as error:  # noqa: BLE001  (a fault of these frames is told by the caller)
                if faults.kind_of(error) is None:
                    raise
                self._complain("The message log waits for the database: %s", error)
                connection.close()
                time.sleep(PATIENCE)
        self.written += len(lines)
        metrics.messages_kept.inc(len(lines))

    def _complain(self, *said):
        """In the log, now and then: what is away may be away for long."""
        if time.monotonic() - self.complained_at >= COMPLAINT:
            self.complained_at = time.monotonic()
            logger.warning(*said)


def _read(text):
    """(kind, message id, action) of a frame that was refused, as far as it has them."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "other", "", ""
    if not isinstance(frame, list) or len(frame) < 2 or type(frame[0]) is not int or not isinstance(frame[1], str):
        return "other", "", ""
    kind = KINDS.get(frame[0], "other")
    action = frame[2] if kind == "call" and len(frame) > 2 and isinstance(frame[2], str) else ""
    return kind, frame[1], action


def _moment(passed):
    return datetime.fromtimestamp(passed.at, UTC).isoformat()


def _line(passed):
    """As COPY reads it, in the order of COLUMNS."""
    texts = [passed.direction, passed.kind, *map(bulk_sql.escaped, (passed.action, passed.message_id, passed.text))]
    return "\t".join([str(passed.charger), _moment(passed), *texts, "t" if passed.is_error else "f"])


def _told(passed):
    return {
        "at": _moment(passed),
        "direction": passed.direction,
        "kind": passed.kind,
        "action": passed.action,
        "message_id": passed.message_id,
        "frame": passed.text,
        "is_error": passed.is_error,
    }


log = MessageLogWriter()
