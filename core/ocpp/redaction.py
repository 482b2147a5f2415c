"""Mask keys and passwords in frames before anybody can read them.

A `Version` declares which members of which message are secret, and which texts hold no secret. In all other texts and
members, such as those of vendors, and in unknown messages, a secret is recognised by its name. In doubt too much is
masked, because diagnosis seldom needs a value whose name suggests a secret.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import Any

import orjson

from core.ocpp import signed
from core.ocpp.versions import Version
from core.ocpp.versions.base import ALWAYS, NAMED

HIDDEN = "(hidden)"
# A member or a configuration key whose name matches one of these holds a secret. Names are compared in lower case,
# without characters that are neither letters nor digits.
SECRETS = (
    *("authorizationkey", "passw", "passphrase", "passcode", r"(?<!by)pass\d*$", r"pw\d*$", "pwd", "secret"),
    *("apikey", "privatekey", "accesskey", "psk", "accesstoken", "authtoken", "apitoken", "authorization$", "bearer"),
    *("credential", r"pin\d*$", r"(?<!id)token\d*$"),
    r"(?<!^)(?<!^configuration)(?<!^unknown)(?<!public)(?<!without)key\d*$",
)
NAMES = re.compile("|".join(SECRETS))
# Members that may name the setting whose value is beside them or below, in a member with a name of VALUES.
NAMING = ("key", "name", "variable", "component")
NAMES_WITHIN = ("name", "instance")  # members of a component and of a variable
VALUES = frozenset({"value", "attributevalue", "actualvalue"})
# An idToken of this type is a PIN, which may be in no log (OCPP 2.0.1 C04.FR.04).
KEY_CODE, TOKEN_MEMBER = "keycode", "idtoken"
# A frame without any of these has no secret. The backslash is one, because an escape might hide a name.
MARKS = (
    *("author", "pass", "pw", "secret", "credential", "api", "private", "access", "psk", "key", "pin"),
    *("token", "bearer", "://", "/files/", "\\", "-signed"),  # the text in a signed message is hidden by base64
)
# None of the expressions below changes a text that, in small letters, contains none of these.
TEXT_MARKS = (
    *("pass", "pw", "secret", "credential", "token", "key", "pin", "sig", "auth", "bearer", "value", "/files/"),
    "://",
)
PUNCTUATION = re.compile(r"[\W_]+")
MIN_SECRET_LENGTH = 4  # of a secret that is searched for in other texts: a shorter one may be part of any word
BEFORE_JSON = "\ufeff \t\r\n"  # is skipped; a byte order mark is not JSON, but chargers skip it
MAX_TEXT_LENGTH = 32_768  # characters of a text; the rest is cut off, since masking takes time linear in it
MAX_NAME_LENGTH = 1000  # characters of a member's name; a longer one counts as a secret
MAX_MASKED_LENGTH = 16_384  # of a frame that is masked for a log line, because this blocks the event loop
LOG_LINE_LENGTH = 200  # characters of a frame in a log line
PLAIN, FREE = "plain", "free"  # of a text: it holds no secret, or secrets are searched for in it
Mask = dict[str, Any] | str  # {member: its mask}, or ALWAYS, NAMED, PLAIN or FREE; a list has the mask of its items
Clean = Callable[[str], str]
RUN = re.compile(r"[^\s\"<>]+")  # each URL is within one
# The path of a file that this system serves contains the token that gives access to it.
TOKEN = re.compile(r"(/files/+(?:firmware|uploads)/+)[^\s/\"?#]+")
SECRET_NAME = (
    r"(?:passw|passphrase|passcode|pass\b|pwd|secret|credential|token|(?:pw|key|\bpin)\d{0,9}\b|signature|\bsig)"
)
ARGUMENT = re.compile(
    rf"(?i)({SECRET_NAME}[\w.-]{{0,40}}[\"']?\s{{0,9}}[=:]\s{{0,9}})"
    r"(\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s\"'<>]+?(?=[\s\"'<>]|&[\w.-]{1,60}=|$))"
)
HEADER = re.compile(
    r"(?i)(\b(?:auth(?:orization)?[\"']?\s{0,9}[=:]\s{0,9}[\"']?(?:basic|digest)|bearer)\s{1,9})[^\s\"'<>]+"
)
ELEMENT = re.compile(rf"(?i)(<[\w.:-]{{0,40}}{SECRET_NAME}[^<>]{{0,200}}>)[^<]+")
PRIVATE_KEY = re.compile(r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[^-]*")
VALUE = re.compile(r'(?i)("(?:attribute|actual)?value"\s*:\s*)"(?:[^"\\]|\\.)*"?')
LONG_VALUE = re.compile(
    r'(?i)("(?:attribute|actual)?value"\s*:\s*)"[^"]{16,}"?'
)  # a key for Basic auth has 16 characters or more


def masked(text: str, version: Version, action: str = "", is_json: bool = False) -> str:
    """Return the frame `text` without its secrets.

    `action` is that of the call it answers; `is_json` is True where the frame is known to be JSON. A frame that is
    not JSON and may hold a secret is replaced by its length.
    """
    marks = _marks_in(text)
    if is_json and not marks and action not in version.actions_with_secrets:
        return text
    frame = _parsed(text)
    if frame is None:
        return _not_json(text, marks)
    if _is_error(frame) and action in version.secrets:  # an error may quote the secret that it refuses
        frame[3:] = [HIDDEN] * len(frame[3:])
        return _written(text, lambda: _cleaned(frame))
    name, at = _message(frame, action)
    if not marks and ALWAYS not in version.secrets.get(name, {}).values():
        return text
    return _written(text, lambda: _masked_frame(frame, version, name, at))


def masked_by_names(text: str) -> str:
    """Return `text`, which may be JSON but is no frame, without what its names suggest to be a secret."""
    marks, parsed = _marks_in(text), _parsed(text)
    if parsed is None:
        return _not_json(text, marks)
    return _written(text, lambda: _cleaned(parsed)) if marks else text


def _marks_in(text: str) -> list[str]:
    lowered = text.lower()
    return [mark for mark in MARKS if mark in lowered]


def _not_json(text: str, marks: list[str]) -> str:
    return f"({len(text)} characters that are not JSON)" if set(marks) - {"://"} else _plain(text)


def _written(text: str, cleaned: Callable[[], Any]) -> str:
    """Return the JSON text of `cleaned()`, also if nothing is masked, since a member may occur twice in `text`."""
    try:
        return orjson.dumps(cleaned()).decode()
    except (RecursionError, TypeError):  # nested JSON texts, or more levels than orjson writes
        return f"({len(text)} characters that are nested too deeply)"


def _message(frame: Any, action: str) -> tuple[str, int]:
    """Return the name of the message and the place of its payload in `frame`; "" if it is no CALL or CALLRESULT."""
    if not isinstance(frame, list) or len(frame) < 3:
        return "", 0
    if frame[0] == 2 and signed.is_extended(frame):
        return frame[3], 4
    if frame[0] == 2 and isinstance(frame[2], str):
        return frame[2], 3
    return (f"{action}Response", 2) if frame[0] == 3 and action else ("", 0)


def _masked_frame(frame: Any, version: Version, name: str, at: int) -> Any:
    if name.endswith(signed.SUFFIX):
        return _masked_signed(frame, version, name.removesuffix(signed.SUFFIX), at)
    if name not in version.schemas.by_name:
        return _cleaned(frame)
    before, payload, after = frame[:at], frame[at : at + 1], frame[at + 1 :]
    return [*_cleaned(before), *_by_mask(_mask(version, name), payload), *_cleaned(after)]


def _masked_signed(frame: list[Any], version: Version, action: str, at: int) -> list[Any]:
    """Mask a signed message, and show what its JWS holds in place of the text in base64; the JWS is at `at`."""
    if len(frame) != at + 1 or not isinstance(frame[at], dict):
        return [*_cleaned(frame[:at]), HIDDEN]
    inner = _parsed(signed.content(frame[at]) or "")
    plain = _masked_frame([*frame[:2], action, inner], version, action, 3)[3] if isinstance(inner, dict) else HIDDEN
    return [*_cleaned(frame[:at]), _cleaned(frame[at]) | {signed.PAYLOAD: plain}]


@cache
def _mask(version: Version, name: str) -> Mask:
    """Return the mask of the payloads of the message `name`."""
    return _mask_of(version, version.secrets.get(name, {}), version.schemas.by_name[name].resolved, "")


def _mask_of(version: Version, secrets: Any, tree: dict[str, Any], path: str) -> Mask:
    if path in secrets:
        mask: Mask = secrets[path]
        return mask
    if "items" in tree:
        return _mask_of(version, secrets, tree["items"], path)
    if tree.get("additionalProperties") is False:
        members = tree.get("properties", {}).items()
        return {name: _mask_of(version, secrets, inner, f"{path}.{name}".strip(".")) for name, inner in members}
    return PLAIN if any(f".{path}".endswith(f".{end}") for end in version.plain) else FREE


def _by_mask(mask: Mask, value: Any, text: Clean | None = None, is_named: bool = False) -> Any:
    """Replace the secrets of `value` (JSON) that `mask` declares, and clean the rest like `_cleaned`."""
    if isinstance(value, list):
        return [_by_mask(mask, item, text, is_named) for item in value]
    if isinstance(mask, dict) and isinstance(value, dict):
        is_named, value = is_named or _names_a_secret(value), _without_key_code(value)
        return {
            name: _by_mask(mask[name], branch, text, is_named)
            if name in mask
            else _cleaned_member(name, branch, text, is_named)
            for name, branch in value.items()
        }
    if mask == ALWAYS or (mask == NAMED and is_named):
        return value if value in (None, "") else HIDDEN
    if mask == PLAIN and isinstance(value, str):
        return _own_urls(value)[:MAX_TEXT_LENGTH]
    return _cleaned(value, text, is_named)


def _parsed(text: str) -> Any:
    """Return the parsed JSON, or None for text that is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_error(frame: Any) -> bool:
    return isinstance(frame, list) and len(frame) > 2 and frame[0] == 4


def _plain(text: str) -> str:
    """Mask a text that is not JSON, or a string within JSON."""
    lowered = text.lower()
    if not any(mark in lowered for mark in TEXT_MARKS):
        return text[:MAX_TEXT_LENGTH]
    if len(text) > MAX_TEXT_LENGTH:
        text = f"{text[:MAX_TEXT_LENGTH]}@"  # because a login may have ended where the text is cut
    text = (VALUE if _matches_secret(text) else LONG_VALUE).sub(rf'\1"{HIDDEN}"', text)
    for secret in (PRIVATE_KEY, ELEMENT, HEADER, TOKEN):
        text = secret.sub(rf"\1{HIDDEN}", text)
    if "://" in text:
        text = RUN.sub(_without_login, text)
    return ARGUMENT.sub(rf"\1{HIDDEN}", text)


def _without_login(run: re.Match[str]) -> str:
    """Mask the text between :// and the last @, with or without a password."""
    scheme, separator, rest = run[0].partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{separator}{HIDDEN}@{host}" if at else run[0]


def without_secrets(payload: Any) -> Any:
    """Return `payload`, of a command or of an answer to one, as users who may view commands may see it.

    Texts are not changed except for URLs, see `_url`, and members of JSON that name a secret, because these users
    wrote the payload.
    """
    return _cleaned(payload, _own_text)


def request_without_secrets(payload: Any, version: Version, action: str) -> Any:
    """Return the `payload` of a request like `without_secrets`, and without the secrets that `version` declares."""
    return _by_mask(_mask(version, action), payload, _own_text)


def _own_text(text: str) -> str:
    """Mask a text of a payload, which may be JSON, as in DataTransfer."""
    within = _json_in(text)
    if within is None:
        return _own_urls(text)
    try:
        if _may_hide_members(text):
            return f"({len(text)} characters of JSON with a duplicate member)"
        cleaned = _cleaned(within, _own_text)
        return text if cleaned == within else orjson.dumps(cleaned).decode()
    except (RecursionError, TypeError):
        return f"({len(text)} characters that are nested too deeply)"


def _json_in(text: str) -> Any:
    """Return the object, list or string in a JSON text, or None for any other text."""
    text = text.lstrip(BEFORE_JSON)
    return _parsed(text) if text[:1] in ("{", "[", '"') else None


def _may_hide_members(text: str) -> bool:
    """Whether `text`, JSON that may contain secrets, has a duplicate member, of which parsing shows only one."""
    lowered = text.lower()
    if not any(mark in lowered for mark in MARKS):
        return False
    has_duplicates: list[bool] = []

    def count(pairs: list[tuple[str, Any]]) -> None:
        has_duplicates.append(len(dict(pairs)) < len(pairs))

    # `parse_int` is str, because int() refuses very long numbers.
    json.loads(text.lstrip(BEFORE_JSON), object_pairs_hook=count, parse_int=str)
    return any(has_duplicates)


def _own_urls(text: str) -> str:
    return RUN.sub(_url, text) if "://" in text else text


def _url(run: re.Match[str]) -> str:
    """Mask in a URL its login, arguments whose name suggests a secret, and the token of a file of this system."""
    if "://" not in run[0]:
        return run[0]
    return ARGUMENT.sub(rf"\1{HIDDEN}", TOKEN.sub(rf"\1{HIDDEN}", _without_login(run)))


def hidden_texts(whole: Any, shown: Any) -> Iterator[str]:
    """Yield the texts of `whole` (JSON) that its masked form `shown` hides."""
    if whole == shown:
        return
    if isinstance(whole, dict) and isinstance(shown, dict):
        for name, branch in whole.items():
            yield from hidden_texts(branch, shown[name])
    elif isinstance(whole, list) and isinstance(shown, list):
        for branch, left in zip(whole, shown, strict=True):
            yield from hidden_texts(branch, left)
    elif shown == HIDDEN:
        yield from _texts(whole)
    elif isinstance(whole, str) and isinstance(shown, str):
        yield from _hidden_within(whole, shown)


def _hidden_within(whole: str, shown: str) -> Iterator[str]:
    """Yield the parts of the text `whole` that `shown` hides: texts of JSON, or logins and arguments of URLs."""
    inside = _json_in(whole), _json_in(shown)
    if None not in inside:
        yield from hidden_texts(*inside)
        return
    before, *others = shown.split(HIDDEN)
    at = len(before)
    for left in others[:-1]:
        end = whole.find(left, at)
        yield from _login_and_password(whole[at:end])
        at = end + len(left)
    if others:
        yield from _login_and_password(whole[at : len(whole) - len(others[-1])])


def _login_and_password(login: str) -> Iterator[str]:
    yield login
    yield login.partition(":")[2]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for branch in value.values() if isinstance(value, dict) else value:
            yield from _texts(branch)
    elif isinstance(value, str):
        yield value


def without_texts(value: Any, texts: Iterable[str]) -> Any:
    """Mask in the strings of `value` (JSON) those of `texts` that have MIN_SECRET_LENGTH characters or more."""
    longest_first = sorted((text for text in texts if len(text) >= MIN_SECRET_LENGTH), key=len, reverse=True)

    def clean(string: str) -> str:
        for text in longest_first:
            string = string.replace(text, HIDDEN)
        return string

    return _cleaned(value, clean)


def _cleaned(value: Any, text: Clean | None = None, is_named: bool = False) -> Any:
    """Replace what has the name of a secret in `value` (JSON) by `HIDDEN`.

    `text` is the function that cleans a string. `is_named` says that `value` belongs to a setting with such a name.
    """
    if isinstance(value, dict):
        is_named, value = is_named or _names_a_secret(value), _without_key_code(value)
        return {name: _cleaned_member(name, branch, text, is_named) for name, branch in value.items()}
    if isinstance(value, list):
        return [_cleaned(branch, text, is_named) for branch in value]
    return (text or _cleaned_text)(value) if isinstance(value, str) else value


def _cleaned_member(name: str, value: Any, text: Clean | None, is_named: bool) -> Any:
    if value not in (None, "") and (names_secret(name) or (is_named and name.lower() in VALUES)):
        return HIDDEN
    return _cleaned(value, text, is_named)


def _without_key_code(members: dict[str, Any]) -> dict[str, Any]:
    """Return the `members` of an object; if it is an idToken of type KeyCode, without its code."""
    if not _is_key_code(members):
        return members
    return {name: HIDDEN if name.lower() == TOKEN_MEMBER else value for name, value in members.items()}


def _is_key_code(members: dict[str, Any]) -> bool:
    return any(
        len(name) == 4 and name.lower() == "type" and isinstance(value, str) and value.lower() == KEY_CODE
        for name, value in members.items()
    )


def key_codes(payload: Any) -> Iterator[Any]:
    """Yield the idTokens of type KeyCode in `payload` (JSON), whatever their JSON type."""
    if isinstance(payload, list):
        for item in payload:
            yield from key_codes(item)
    elif isinstance(payload, dict):
        if _is_key_code(payload):
            yield from (value for name, value in payload.items() if name.lower() == TOKEN_MEMBER)
        for value in payload.values():
            yield from key_codes(value)


def _names_a_secret(members: dict[str, Any]) -> bool:
    """Whether the members of an object name a setting that is secret, such as the variable BasicAuthPassword."""
    return any(_is_name(value) for name, value in members.items() if name.lower() in NAMING)


def _is_name(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(n, str) and names_secret(n) for m, n in value.items() if m.lower() in NAMES_WITHIN)
    return isinstance(value, str) and names_secret(value)


def names_secret(name: str) -> bool:
    """Whether a member called `name` must be hidden."""
    return len(name) > MAX_NAME_LENGTH or _known_secret(name)


@lru_cache(4096)
def _known_secret(name: str) -> bool:
    return _matches_secret(name)


def _matches_secret(text: str) -> bool:
    return NAMES.search(PUNCTUATION.sub("", text.lower())) is not None


def _cleaned_text(text: str) -> str:
    """Mask a string, which may be JSON, as in DataTransfer."""
    within = _json_in(text)
    return _plain(text) if within is None else orjson.dumps(_cleaned(within)).decode()


class InLog:
    """A frame for a log line; it is masked only if the line is written.

    A long frame is replaced by its length, because a part of it cannot be masked without the rest.
    """

    def __init__(self, text: str, version: Version) -> None:
        self.text, self.version = text, version

    def __str__(self) -> str:
        if len(self.text) > MAX_MASKED_LENGTH:
            return f"({len(self.text)} characters)"
        return repr(masked(self.text, self.version))[:LOG_LINE_LENGTH]
