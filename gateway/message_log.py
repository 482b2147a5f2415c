"""The message log stores the frames of chargers and publishes them to watchers, without delaying the traffic.

A socket only queues a frame. One thread of each process masks the frames, publishes those of watched chargers and
writes those to be stored, in batches. If it cannot keep up, further frames are dropped and counted.
"""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

import orjson
from django.conf import settings
from redis.exceptions import RedisError

from chargers import metrics
from chargers.models.charger import LOG_ALL, LOG_NOTHING
from chargers.models.messages import MAX_FRAME_LENGTH
from core.background import TOO_MANY, BackgroundWriter
from core.db import bulk_sql
from core.ocpp import frames, signed
from core.ocpp.redaction import masked
from core.ocpp.versions import OCPP16, Version
from core.redis.connections import sync_redis
from gateway.handshake import ConnectedCharger

logger = logging.getLogger(__name__)

MAX_QUEUED_FRAMES = 20_000  # beyond it frames are dropped
MAX_QUEUED_CHARACTERS = 64 * 2**20  # of the queued frames, beyond it frames are dropped
MAX_BATCH_SIZE = 2000
FRAMES_PER_SLICE = 32  # frames that are masked without a pause
SLICE_PAUSE_S = 0.0005  # in this time the thread that answers chargers gets the interpreter
BATCH_INTERVAL_S = 0.25  # in this time the frames of a batch collect
MAX_REMEMBERED_CALLS = 8  # CALLs to the charger whose actions a socket remembers
# Close codes for a frame that the other side could not process (RFC 6455 §7.4.1).
FRAME_CLOSE_CODES = (1002, 1003, 1007, 1008, 1009)
KINDS = {frames.CALL: "call", frames.CALLRESULT: "result", frames.CALLERROR: "error"}
COLUMNS = ("charger_id", "at", "direction", "kind", "action", "message_id", "frame", "is_error")
MAX_ACTION_LENGTH, MAX_MESSAGE_ID_LENGTH = 50, 36
Parsed = frames.CallFrame | frames.Reply | None  # None for a frame that is unreadable


def channel(charger: int) -> str:
    """Name the channel on which lists of frames, see `_published`, of a charger (primary key) are published."""
    return f"ocpp:frames:{charger}"


@dataclass(slots=True)
class LoggedFrame:
    """A received or sent frame: `at` in seconds since the epoch, the other fields as far as its socket knows them."""

    charger: int
    at: float
    direction: str
    text: str
    kind: str
    message_id: str
    action: str
    is_error: bool
    is_stored: bool
    is_watched: bool
    version: Version = OCPP16


class PublishedFrame(TypedDict):
    """A frame as its watchers receive it: `at` is ISO 8601, the texts are masked."""

    at: str
    direction: str
    kind: str
    action: str
    message_id: str
    frame: str
    is_error: bool


# --- a socket's side -------------------------------------------------------------------------


class FrameRecorder:
    """Record the frames of one socket. All methods run in the event loop."""

    def __init__(self, charger: ConnectedCharger, version: Version) -> None:
        self.charger, self.version = charger.pk, version
        self.watched_until = 0.0  # by time.monotonic
        self.call_actions: dict[str, str] = {}  # {message id: action} of CALLs to the charger
        # The frame received last, until it is answered: a `LoggedFrame`, or (at, text, parsed frame) if not recorded.
        self.last: LoggedFrame | tuple[float, str, Parsed] | None = None
        self.switch(charger.message_log)

    def switch(self, level: str) -> None:
        """Use `level`, the column of the charger. For "" use OCPP_MESSAGE_LOG."""
        level = level or settings.OCPP_MESSAGE_LOG
        self.stores_all, self.stores_errors = level == LOG_ALL, level != LOG_NOTHING
        self.records_all = self.stores_all or self._is_watched()

    def watch(self, seconds: float) -> None:
        """Publish every frame for `seconds` from now."""
        self.watched_until = time.monotonic() + seconds
        self.records_all = True

    def on_received(self, text: str, frame: Parsed = None) -> None:
        """Record a frame of the charger. `frame` is as parsed, None if it is unreadable."""
        if self.records_all:
            self.last = self._record("in", text, *self._known(frame))
        elif self.stores_errors:
            self.last = time.time(), text, frame
            if isinstance(frame, frames.Reply) and frame.error:
                self._record("in", text, *self._known(frame))

    def refuse(self) -> None:
        """Mark the frame received last as an error, because it is refused."""
        self._store_last(is_error=True)

    def store_last(self) -> None:
        """Store the frame received last, because it has a finding that is new on this socket."""
        self._store_last(is_error=False)

    def _store_last(self, is_error: bool) -> None:
        if self.records_all and isinstance(self.last, LoggedFrame):
            self.last.is_error, self.last.is_stored = is_error, self.stores_errors
        elif self.stores_errors and isinstance(self.last, tuple):
            at, text, frame = self.last
            self._record("in", text, *self._known(frame)[:-1], is_error, at, is_stored=True)

    def on_sent(self, text: str, message_id: str, action: str) -> None:
        """Record a frame to the charger."""
        kind = KINDS.get(int(text[1]), "other")
        if kind == "call":
            self._remember(message_id, action)
        else:
            self.last = None
        if self.records_all or (kind == "error" and self.stores_errors):
            self._record("out", text, kind, message_id, action, kind == "error")

    def closed(self, code: int | None, reason: str | None) -> None:
        """Record the close code if it is one for a frame, because that frame has not reached this class."""
        if code in FRAME_CLOSE_CODES and (self.stores_errors or self.records_all):
            self._record("in", f"closed with {code} {reason or ''}".strip(), "other", "", "", True)

    def _known(self, frame: Parsed) -> tuple[str, str, str, bool]:
        """Return (kind, message id, action, whether it is an error)."""
        if isinstance(frame, frames.CallFrame):
            return "call", frame.message_id, frame.action, False
        if isinstance(frame, frames.Reply):
            kind = "error" if frame.error else "result"
            return kind, frame.message_id, self.call_actions.get(frame.message_id, ""), kind == "error"
        return "", "", "", True

    def _remember(self, message_id: str, action: str) -> None:
        self.call_actions[message_id] = action
        if len(self.call_actions) > MAX_REMEMBERED_CALLS:
            del self.call_actions[next(iter(self.call_actions))]

    def _is_watched(self) -> bool:
        return time.monotonic() < self.watched_until

    def _record(
        self,
        direction: str,
        text: str,
        kind: str,
        message_id: str,
        action: str,
        is_error: bool,
        at: float | None = None,
        is_stored: bool = False,
    ) -> LoggedFrame:
        is_watched = self.watched_until > 0 and self._is_watched()
        if self.watched_until and not is_watched:
            self.watched_until, self.records_all = 0.0, self.stores_all
        is_stored = is_stored or self.stores_all or (is_error and self.stores_errors)
        logged = LoggedFrame(
            self.charger,
            at or time.time(),
            direction,
            text,
            kind,
            message_id,
            action,
            is_error,
            is_stored,
            is_watched,
            self.version,
        )
        log.record(logged)
        return logged


# --- the thread that writes ------------------------------------------------------------------


class MessageLogWriter(BackgroundWriter[LoggedFrame]):
    """The frames of one process that are not written yet. Their number and their characters are limited."""

    def __init__(self) -> None:
        super().__init__(
            "messages",
            self._store,
            prepare=self._mask_and_publish,
            interval_s=BATCH_INTERVAL_S,
            max_queued=MAX_QUEUED_FRAMES,
            max_batch=MAX_BATCH_SIZE,
            count_lost=lambda reason, number: metrics.messages_dropped.labels(reason).inc(number),
        )
        self.text_put = self.text_taken = 0  # characters; each counter is changed by only one thread

    def record(self, logged: LoggedFrame) -> None:
        """Queue a frame. This must not block, because the thread that answers chargers calls it for every frame."""
        if self.text_put - self.text_taken > MAX_QUEUED_CHARACTERS:
            self.lose(TOO_MANY, 1)
        elif self.put(logged):
            self.text_put += len(logged.text)

    def _mask_and_publish(self, batch: list[LoggedFrame]) -> list[str]:
        """Return the masked frames of `batch` that are to be stored as lines for COPY; publish the watched ones."""
        lines = [_copy_line(logged) for logged in self._masked(batch) if logged.is_stored]
        self._publish([logged for logged in batch if logged.is_watched])
        return lines

    def _masked(self, batch: list[LoggedFrame]) -> list[LoggedFrame]:
        """Mask the frames of `batch` and cut them to the lengths of their columns."""
        # Counted at once, because a fault of one frame must not leave the others counted as queued.
        self.text_taken += sum(len(logged.text) for logged in batch)
        for number, logged in enumerate(batch, 1):
            is_json = logged.kind in KINDS.values()
            if not logged.kind:
                logged.kind, logged.message_id, logged.action = _parse(logged.text)
            text = masked(logged.text, logged.version, logged.action, is_json)
            logged.text = text[:MAX_FRAME_LENGTH].replace("\0", "\N{SYMBOL FOR NULL}")
            logged.message_id = logged.message_id[:MAX_MESSAGE_ID_LENGTH].replace("\0", "")
            logged.action = logged.action[:MAX_ACTION_LENGTH].replace("\0", "")
            if number % FRAMES_PER_SLICE == 0:
                time.sleep(SLICE_PAUSE_S)
        return batch

    def _publish(self, watched: list[LoggedFrame]) -> None:
        by_charger: defaultdict[int, list[PublishedFrame]] = defaultdict(list)
        for logged in watched:
            by_charger[logged.charger].append(_published(logged))
        try:
            for charger, messages in by_charger.items():
                sync_redis().publish(channel(charger), orjson.dumps(messages).decode())
        except RedisError as error:
            self.warn("Frames were not published to watchers, because Redis is unavailable: %s", error)

    def _store(self, lines: list[str]) -> None:
        bulk_sql.copy("chargers_message", COLUMNS, lines)
        metrics.messages_kept.inc(len(lines))


def _parse(text: str) -> tuple[str, str, str]:
    """Read (kind, message id, action) of a refused frame, "other" and "" where it has none."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "other", "", ""
    if not isinstance(frame, list) or len(frame) < 2 or type(frame[0]) is not int or not isinstance(frame[1], str):
        return "other", "", ""
    kind = KINDS.get(frame[0], "other")
    frame = signed.without_extension(frame)
    action = frame[2] if kind == "call" and len(frame) > 2 and isinstance(frame[2], str) else ""
    return kind, frame[1], action


def _timestamp(logged: LoggedFrame) -> str:
    return datetime.fromtimestamp(logged.at, UTC).isoformat()


def _copy_line(logged: LoggedFrame) -> str:
    """Format a frame as a line for COPY, in the order of COLUMNS."""
    texts = [logged.direction, logged.kind, *map(bulk_sql.escaped, (logged.action, logged.message_id, logged.text))]
    return "\t".join([str(logged.charger), _timestamp(logged), *texts, "t" if logged.is_error else "f"])


def _published(logged: LoggedFrame) -> PublishedFrame:
    return {
        "at": _timestamp(logged),
        "direction": logged.direction,
        "kind": logged.kind,
        "action": logged.action,
        "message_id": logged.message_id,
        "frame": logged.text,
        "is_error": logged.is_error,
    }


log = MessageLogWriter()
