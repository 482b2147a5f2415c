"""OCPP-J frames: text to CALL, CALLRESULT or CALLERROR and back (J §4.2)."""

import json
import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

CALL, CALLRESULT, CALLERROR = 2, 3, 4
LONGEST_MESSAGE_ID = 36
CONTROL = re.compile(r"\\(?:u00[01]|u007[fF]|[bfnrt])")  # the escape of a control character
MOST_DIGITS = 2**63


class Unreadable(Exception):
    """A frame that can't be answered: nothing in it names a request (J errata 3.3 asks for no "-1" in 1.6)."""


class CallError(Exception):
    """A CALL is refused. `code` is one of J §4.2.3 table 7 in the spelling of 1.6."""

    field = ""  # the member that is at fault, where there is one

    def __init__(self, code, description="", details=None):
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.details = code, description[:255], details or {}


class BadCall(CallError):
    """A frame with a usable message id that is not a proper CALL; `action` is "" where it names none."""

    def __init__(self, message_id, code, description, action=""):
        super().__init__(code, description)
        self.message_id, self.action = message_id, action


@dataclass(slots=True)
class Call:
    """A request. `payload` is the JSON object sent (`null` counts as `{}`, J §4.2.1).

    `digest`: 32 hex digits that are equal when action and payload are. `is_clean` is False where a text of the
    payload may hold a control character, `is_json` where the frame was JSON only in part.
    """

    message_id: str
    action: str
    payload: dict
    digest: str
    is_clean: bool = True
    is_json: bool = True


@dataclass(slots=True)
class Reply:
    """A CALLRESULT (`payload`) or a CALLERROR (`error`: code, description, details)."""

    message_id: str
    payload: Any = None
    error: dict | None = None


def parse(text, lenient=False):
    """`Call` or `Reply`; raises `Unreadable`, or `BadCall` where an answer is owed.

    `lenient` also takes what is JSON but for raw control characters, lone surrogates or numbers without end.
    """
    is_json = True
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        frame, is_json = _almost_json(text) if lenient else None, False
        if frame is None:
            raise Unreadable(f"not JSON: {error}") from error
    if (
        not isinstance(frame, list)
        or len(frame) < 2
        or not isinstance(frame[1], str)
        or not frame[1]
        or "\0" in frame[1]
    ):
        raise Unreadable("not an array with a message type and a message id")
    kind, message_id = frame[0], frame[1]
    if type(kind) is int and kind == CALL:
        call = _call(frame, message_id)
        if not is_json or "\\" in text:
            _judge_controls(call, text, lenient)
            call.is_json, call.is_clean = is_json, call.is_clean and is_json
        return call
    if type(kind) is int and kind in (CALLRESULT, CALLERROR) and len(message_id) <= LONGEST_MESSAGE_ID:
        return _reply(frame, message_id)
    raise Unreadable(f"message type {kind!r:.20} is not known, or its message id is too long")


def _almost_json(text):
    """None for a text that is not even nearly JSON, or whose message id could not be given back as it was sent.

    None as well for one that is nested too deeply to be written again: how deep `json` reads depends on the stack.
    """
    try:
        frame = json.loads(text, strict=False)
        stored = storable(frame)
        orjson.dumps(stored)
    except (ValueError, TypeError, RecursionError):
        return None
    has_id = isinstance(frame, list) and len(frame) > 1
    return stored if has_id and frame[1] == stored[1] else None


def _judge_controls(call, text, lenient):
    """PostgreSQL's text has no place for U+0000; other control characters are seldom part of a word."""
    if not lenient and "\\u0000" in text:
        raise BadCall(
            call.message_id, "PropertyConstraintViolation", "A text holds the character U+0000.", call.action
        )
    call.is_clean = not lenient or CONTROL.search(text) is None


def storable(value):
    """`value` of JSON without what PostgreSQL cannot store: U+0000, lone surrogates, numbers without end."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    is_too_much = isinstance(value, float) and not math.isfinite(value)
    is_too_long = isinstance(value, int) and not -MOST_DIGITS <= value < MOST_DIGITS
    return str(value) if is_too_much or is_too_long else value


def _call(frame, message_id):
    action = frame[2] if len(frame) > 2 and isinstance(frame[2], str) else ""
    if len(message_id) > LONGEST_MESSAGE_ID:
        description = f"Message id is longer than {LONGEST_MESSAGE_ID}."
        raise BadCall(message_id, "FormationViolation", description, action)
    if len(frame) != 4 or not isinstance(frame[2], str):
        raise BadCall(message_id, "FormationViolation", "A CALL is [2, message id, action, payload].", action)
    payload = {} if frame[3] is None else frame[3]
    if not isinstance(payload, dict):
        raise BadCall(message_id, "FormationViolation", "The payload is not an object.", action)
    try:
        content = orjson.dumps([frame[2], payload], option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise BadCall(message_id, "FormationViolation", "The payload is nested too deeply.", action) from error
    return Call(message_id, frame[2], payload, blake2b(content, digest_size=16).hexdigest())


def _reply(frame, message_id):
    try:
        orjson.dumps(frame)
    except TypeError:
        return Reply(message_id, payload="unreadable: nested too deeply")
    if frame[0] == CALLRESULT and len(frame) == 3:
        return Reply(message_id, payload={} if frame[2] is None else frame[2])
    if frame[0] == CALLERROR and 3 <= len(frame) <= 5:
        code, description, details = (*frame[2:], None, None, None)[:3]
        error = {"code": code, "description": description or "", "details": details or {}}
        return Reply(message_id, error=storable(error))
    raise Unreadable("a reply with the wrong number of elements")


def call(message_id, action, payload):
    """The text of a CALL. `payload` is compact JSON text, so its members keep the order they were given in."""
    return f'[{CALL},"{message_id}","{action}",{payload}]'


def call_result(message_id, payload):
    """The text of a CALLRESULT."""
    return _compact([CALLRESULT, message_id, payload])


def call_error(message_id, error):
    """The text of a CALLERROR for `error`, a `CallError`."""
    return _compact([CALLERROR, message_id, error.code, error.description, error.details])


def is_result(text):
    """Whether `text` is a CALLRESULT of ours."""
    return text.startswith(f"[{CALLRESULT},")


def code_of(text):
    """ "result" for a CALLRESULT of ours, the error code of a CALLERROR."""
    return "result" if is_result(text) else orjson.loads(text)[2]


def _compact(frame):
    return orjson.dumps(frame).decode()
