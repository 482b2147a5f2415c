"""Parse and format OCPP-J frames: CALL, CALLRESULT and CALLERROR (J §4.2)."""

import json
import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NoReturn

import orjson

from core.ocpp import signed
from core.ocpp.versions import Version

CALL, CALLRESULT, CALLERROR = 2, 3, 4
MAX_MESSAGE_ID_LENGTH = 36
UNREADABLE_ID = "-1"  # of the CALLERROR that answers a frame without a usable message id, not in 1.6
CONTROL = re.compile(r"\\(?:u00[01]|u007[fF]|[bfnrt])")  # the escape of a control character
SAFE_BRACKETS = 200  # opening brackets of a frame that orjson can write again, however they are nested
INTEGER_LIMIT = 2**63  # PostgreSQL's bigint cannot store an integer beyond it


class Unreadable(Exception):
    """A frame cannot be answered: it has no usable message id, and in 1.6 there is no answer to such frames."""


class CallError(Exception):
    """A CALL is refused. `code` is an error code in the spelling of the OCPP version of its charger."""

    field = ""  # the member at fault, if there is one

    def __init__(self, code: str, description: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code, self.description, self.details = code, description[:255], details or {}


class UnusableCall(CallError):
    """A CALL is refused because nothing in it can be used. `field` is the member at fault."""

    def __init__(self, code: str, description: str = "", field: str = "") -> None:
        super().__init__(code, description)
        self.field = field


class BadCall(CallError):
    """A frame must be answered but is not a valid CALL. `action` is "" if it names none.

    `message_id` is UNREADABLE_ID if the frame has no usable one.
    """

    def __init__(self, message_id: str, code: str, description: str, action: str = "") -> None:
        super().__init__(code, description)
        self.message_id, self.action = message_id, action


@dataclass(slots=True)
class CallFrame:
    """A CALL as parsed, of any socket. `payload` is the JSON object sent (`null` counts as `{}`, J §4.2.1).

    `is_clean` is False if a text of the payload may contain a control character. `is_json` is False if the frame is
    not strictly JSON.
    """

    message_id: str
    action: str
    payload: dict[str, Any]
    is_clean: bool = True
    is_json: bool = True

    @property
    def digest(self) -> str:
        """Compute the digest of what was sent, see `Call.digest`."""
        return digest(self.action, self.payload)


@dataclass(slots=True)
class Reply:
    """A CALLRESULT (`payload`) or a CALLERROR (`error`: code, description, details)."""

    message_id: str
    payload: Any = None
    error: dict[str, Any] | None = None


def parse(text: str, version: Version, lenient: bool = False) -> CallFrame | Reply:
    """Parse `text` to a `CallFrame` or `Reply`. Raise `Unreadable`, or `BadCall` if the frame must be answered.

    `lenient` also accepts raw control characters, lone surrogates, and numbers that are infinite or NaN.
    """
    is_json = True
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        frame, is_json = _almost_json(text) if lenient else None, False
        if frame is None:
            _refuse_unreadable(version, f"not JSON: {error}")
    if (
        not isinstance(frame, list)
        or len(frame) < 2
        or not isinstance(frame[1], str)
        or not frame[1]
        or "\0" in frame[1]
    ):
        _refuse_unreadable(version, "not an array with a message type and a message id", frame)
    kind, message_id = frame[0], frame[1]
    if type(kind) is int and kind == CALL:
        call = _call(frame, message_id, version)
        if version.signs_messages and call.action.endswith(signed.SUFFIX):
            text = _unwrap(call, version)
        if text.count("[") + text.count("{") > SAFE_BRACKETS:
            _check_depth(call, version)
        if not is_json or "\\" in text:
            _check_controls(call, text, lenient)
            call.is_json, call.is_clean = is_json, call.is_clean and is_json
        return call
    if type(kind) is not int or kind not in (CALLRESULT, CALLERROR):
        _refuse_type(version, kind, message_id)
    if len(message_id) > MAX_MESSAGE_ID_LENGTH:
        raise Unreadable("a reply whose message id is too long")
    return _reply(frame, message_id)


def _refuse_unreadable(version: Version, reason: str, frame: Any = None) -> NoReturn:
    """Raise the exception for a frame without a usable message id. A reply is not answered, since it may be to us."""
    code = version.frame_codes.unreadable
    if code is None or (isinstance(frame, list) and frame and frame[0] in (CALLRESULT, CALLERROR)):
        raise Unreadable(reason)
    raise BadCall(UNREADABLE_ID, code, reason)


def _refuse_type(version: Version, kind: Any, message_id: str) -> NoReturn:
    reason, code = f"message type {kind!r:.20} is not known", version.frame_codes.unknown_type
    if code is None or len(message_id) > MAX_MESSAGE_ID_LENGTH:
        raise Unreadable(reason)
    raise BadCall(message_id, code, reason)


def _almost_json(text: str) -> Any:
    """Parse JSON with the exceptions of `parse(lenient=True)`. Return None for other text.

    Return None too if the message id cannot be sent back unchanged, or if the frame is nested too deeply for orjson,
    because the depth that `json` can read depends on the stack.
    """
    try:
        frame = json.loads(text, strict=False)
        stored = storable(frame)
        orjson.dumps(stored)
    except (ValueError, TypeError, RecursionError):
        return None
    has_id = isinstance(frame, list) and len(frame) > 1
    return stored if has_id and frame[1] == stored[1] else None


def _check_controls(call: CallFrame, text: str, lenient: bool) -> None:
    """Set `is_clean`. Raise `BadCall` for U+0000 unless lenient, because PostgreSQL cannot store it."""
    if not lenient and "\\u0000" in text:
        raise BadCall(
            call.message_id, "PropertyConstraintViolation", "A text holds the character U+0000.", call.action
        )
    call.is_clean = not lenient or CONTROL.search(text) is None


def storable(value: Any) -> Any:
    """Return the JSON `value` without the parts that PostgreSQL cannot store.

    U+0000 is removed and a lone surrogate replaced. Infinite numbers, NaN and integers beyond 64 bits become texts.
    """
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    is_infinite = isinstance(value, float) and not math.isfinite(value)
    is_too_large = isinstance(value, int) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT
    return str(value) if is_infinite or is_too_large else value


def _call(frame: list[Any], message_id: str, version: Version) -> CallFrame:
    if version.signs_messages:
        frame = signed.without_extension(frame)
    action = frame[2] if len(frame) > 2 and isinstance(frame[2], str) else ""
    codes = version.frame_codes
    if len(message_id) > MAX_MESSAGE_ID_LENGTH:
        description = f"Message id is longer than {MAX_MESSAGE_ID_LENGTH}."
        raise BadCall(message_id, codes.malformed, description, action)
    if len(frame) != 4 or not isinstance(frame[2], str):
        raise BadCall(message_id, codes.malformed, "A CALL is [2, message id, action, payload].", action)
    payload = {} if frame[3] is None else frame[3]
    if not isinstance(payload, dict):
        raise BadCall(message_id, codes.payload, "The payload is not an object.", action)
    return CallFrame(message_id, frame[2], payload)


def _unwrap(call: CallFrame, version: Version) -> str:
    """Replace action and payload of a signed `call` by those of the plain one. Return the text of its payload.

    It is processed like the plain one (part 4, §7.2).
    """
    text = signed.content(call.payload)
    try:
        payload = None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        payload = None
    if text is None or not isinstance(payload, dict):
        description = "The payload is no JWS of a JSON object."
        raise BadCall(call.message_id, version.frame_codes.payload, description, call.action)
    call.action, call.payload = call.action.removesuffix(signed.SUFFIX), payload
    return text


def _check_depth(call: CallFrame, version: Version) -> None:
    """Raise `BadCall` for a payload that orjson has read and could not write again."""
    try:
        orjson.dumps([call.payload])
    except TypeError as error:
        code, description = version.frame_codes.payload, "The payload is nested too deeply."
        raise BadCall(call.message_id, code, description, call.action) from error


def digest(action: str, payload: dict[str, Any]) -> str:
    """Return 32 hex digits that are equal for equal actions and payloads, whatever the order of members."""
    content = orjson.dumps([action, payload], option=orjson.OPT_SORT_KEYS)
    return blake2b(content, digest_size=16).hexdigest()


def _reply(frame: list[Any], message_id: str) -> Reply:
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


def call(message_id: str, action: str, payload: str) -> str:
    """Format a CALL. `payload` is compact JSON text, so that its members keep their order."""
    return f'[{CALL},"{message_id}","{action}",{payload}]'


def call_result(message_id: str, payload: Any) -> str:
    """Format a CALLRESULT."""
    return _compact([CALLRESULT, message_id, payload])


def call_error(message_id: str, error: CallError) -> str:
    """Format a CALLERROR for `error`, a `CallError`."""
    return _compact([CALLERROR, message_id, error.code, error.description, error.details])


def is_result(text: str) -> bool:
    """Return whether `text`, formatted by this module, is a CALLRESULT."""
    return text.startswith(f"[{CALLRESULT},")


def code_of(text: str) -> str:
    """Return "result" for a CALLRESULT formatted by this module, or the error code of a CALLERROR."""
    return "result" if is_result(text) else orjson.loads(text)[2]


def _compact(frame: list[Any]) -> str:
    return orjson.dumps(frame).decode()
