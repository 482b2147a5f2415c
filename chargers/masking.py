"""Keys and passwords in frames, masked before anybody may read them.

In doubt too much is masked: who looks for a fault seldom needs a value that is called a secret.
"""

import json
import re
from functools import lru_cache

import orjson

HIDDEN = "(hidden)"
# Part of the name of a member, or of a configuration key: what it stands for is a secret. Compared without regard to
# case, and to what is neither a letter nor a digit.
SECRETS = (
    *("authorizationkey", "passw", "passphrase", "passcode", r"(?<!by)pass\d*$", r"pw\d*$", "pwd", "secret"),
    *("apikey", "privatekey", "accesskey", "psk", "accesstoken", "authtoken", "apitoken", "authorization$", "bearer"),
    *("credential", r"pin\d*$", r"(?<!id)token\d*$"),
    r"(?<!^)(?<!^configuration)(?<!^unknown)(?<!public)(?<!without)key\d*$",
)
NAMES = re.compile("|".join(SECRETS))
NAMING = ("key", "name", "variable")  # members that may name what another one, `value`, is of
# A frame that has none of these has no secret; an escape might hide one.
MARKS = (
    *("author", "pass", "pw", "secret", "credential", "api", "private", "access", "psk", "key", "pin"),
    *("token", "bearer", "://", "/files/", "\\"),
)
# A text that has none of these, in small letters, is changed by none of the expressions below.
TEXT_MARKS = (
    *("pass", "pw", "secret", "credential", "token", "key", "pin", "sig", "auth", "bearer", "value", "/files/"),
    "://",
)
PUNCTUATION = re.compile(r"[\W_]+")
SHORTEST = 4  # characters of a secret that is looked for in other texts: a shorter one may be part of any word
BEFORE_JSON = "\ufeff \t\r\n"  # of a text; a mark of the byte order is no JSON, but chargers pass over it
LONGEST_TEXT = 32_768  # characters of one text that are looked at and told; each expression takes time linear in it
LONGEST_NAME = 1000  # characters of the name of a member, past which it is a secret without looking
LONGEST_LOGGED = 16_384  # characters of a frame that is masked for a line of a process' log, in the event loop
LOGGED = 200  # characters of it in the line
RUN = re.compile(r"[^\s\"<>]+")  # a URL is within one
# The path of a file of ours is the key to it.
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
VALUE = re.compile(r'(?i)("value"\s*:\s*)"(?:[^"\\]|\\.)*"?')
LONG_VALUE = re.compile(r'(?i)("value"\s*:\s*)"[^"]{16,}"?')  # no key for Basic auth is shorter


def masked(text, action="", is_json=False):
    """`text`, a frame, without its secrets. `action`: that of the call it answers, `is_json`: where it is known.

    A frame that is not JSON and might hold one is told by its length alone.
    """
    lowered = text.lower()
    marks = [mark for mark in MARKS if mark in lowered]
    if is_json and not marks and action != "ChangeConfiguration":
        return text
    frame = _parsed(text)
    if frame is None:
        return f"({len(text)} characters that are not JSON)" if set(marks) - {"://"} else _plain(text)
    may_quote = action == "ChangeConfiguration" and _is_error(frame)  # the key that it refuses
    if not marks and not may_quote:
        return text
    if may_quote:
        frame[3:] = [HIDDEN] * len(frame[3:])
    try:
        return orjson.dumps(_cleaned(frame)).decode()  # anew, also where nothing is found: a member may come twice
    except (RecursionError, TypeError):  # JSON in texts of JSON, or more than orjson writes
        return f"({len(text)} characters that are nested too deeply)"


def _parsed(text):
    """What JSON text says, None for other text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _is_error(frame):
    return isinstance(frame, list) and len(frame) > 2 and frame[0] == 4


def _plain(text):
    """Text that is not JSON, or a string within it."""
    lowered = text.lower()
    if not any(mark in lowered for mark in TEXT_MARKS):
        return text[:LONGEST_TEXT]
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}@"  # where it is cut, a login may just have ended
    text = (VALUE if _tells_of_secret(text) else LONG_VALUE).sub(rf'\1"{HIDDEN}"', text)
    for secret in (PRIVATE_KEY, ELEMENT, HEADER, TOKEN):
        text = secret.sub(rf"\1{HIDDEN}", text)
    if "://" in text:
        text = RUN.sub(_without_login, text)
    return ARGUMENT.sub(rf"\1{HIDDEN}", text)


def _without_login(run):
    """What stands between :// and the last @ is masked, with or without a password."""
    scheme, found, rest = run[0].partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{found}{HIDDEN}@{host}" if at else run[0]


def without_secrets(payload):
    """`payload`, of a command or of an answer to one, as it may be shown to whoever may see commands.

    It is their own: a text in it stays as it is but for URLs, see `_url`, and members of JSON that name a secret.
    """
    return _cleaned(payload, _own_text)


def _own_text(text):
    """A text of a payload, in which there may be JSON, as in DataTransfer."""
    within = _json_in(text)
    if within is None:
        return _own_urls(text)
    try:
        if _may_hide_members(text):
            return f"({len(text)} characters of JSON in which a member comes twice)"
        cleaned = _cleaned(within, _own_text)
        return text if cleaned == within else orjson.dumps(cleaned).decode()
    except (RecursionError, TypeError):
        return f"({len(text)} characters that are nested too deeply)"


def _json_in(text):
    """The object, the list or the string that a text is as JSON, None for any other text."""
    text = text.lstrip(BEFORE_JSON)
    return _parsed(text) if text[:1] in ("{", "[", '"') else None


def _may_hide_members(text):
    """Whether a member comes twice in `text`, JSON in which there may be secrets: a reader sees one of the two."""
    lowered = text.lower()
    if not any(mark in lowered for mark in MARKS):
        return False
    found = []

    def count(pairs):
        found.append(len(dict(pairs)) < len(pairs))

    json.loads(text.lstrip(BEFORE_JSON), object_pairs_hook=count, parse_int=str)  # int() refuses very long ones
    return any(found)


def _own_urls(text):
    return RUN.sub(_url, text) if "://" in text else text


def _url(run):
    """A URL without its login, without arguments that are called secrets and, where it is ours, without its key."""
    if "://" not in run[0]:
        return run[0]
    return ARGUMENT.sub(rf"\1{HIDDEN}", TOKEN.sub(rf"\1{HIDDEN}", _without_login(run)))


def hidden_texts(whole, shown):
    """The texts that `shown` hides of `whole` (JSON), of which it was made."""
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


def _hidden_within(whole, shown):
    """Of two texts: what is hidden of JSON in them, or the logins, their passwords and the arguments of URLs."""
    inside = _json_in(whole), _json_in(shown)
    if None not in inside:
        yield from hidden_texts(*inside)
        return
    before, *others = shown.split(HIDDEN)
    at = len(before)
    for left in others[:-1]:
        end = whole.find(left, at)
        yield from _and_password(whole[at:end])
        at = end + len(left)
    if others:
        yield from _and_password(whole[at : len(whole) - len(others[-1])])


def _and_password(login):
    yield login
    yield login.partition(":")[2]


def _texts(value):
    if isinstance(value, dict | list):
        for branch in value.values() if isinstance(value, dict) else value:
            yield from _texts(branch)
    elif isinstance(value, str):
        yield value


def without_texts(value, texts):
    """`value` of JSON, its strings without those of `texts` that have SHORTEST characters or more."""
    found = sorted((text for text in texts if len(text) >= SHORTEST), key=len, reverse=True)

    def clean(string):
        for text in found:
            string = string.replace(text, HIDDEN)
        return string

    return _cleaned(value, clean)


def _cleaned(value, text=None):
    """`value` of JSON, in which secrets are `HIDDEN`; `text` cleans a string."""
    if isinstance(value, dict):
        told = {name.lower(): branch for name, branch in value.items()}
        is_secret = any(isinstance(told.get(name), str) and names_secret(told[name]) for name in NAMING)
        return {
            name: HIDDEN
            if branch not in (None, "") and (names_secret(name) or (is_secret and name.lower() == "value"))
            else _cleaned(branch, text)
            for name, branch in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(branch, text) for branch in value]
    return (text or _cleaned_text)(value) if isinstance(value, str) else value


def names_secret(name):
    """Whether what is called so is to be hidden."""
    return len(name) > LONGEST_NAME or _known_secret(name)


@lru_cache(4096)
def _known_secret(name):
    return _tells_of_secret(name)


def _tells_of_secret(text):
    return NAMES.search(PUNCTUATION.sub("", text.lower())) is not None


def _cleaned_text(text):
    """A string, in which there may be JSON, as in DataTransfer."""
    within = _json_in(text)
    return _plain(text) if within is None else orjson.dumps(_cleaned(within)).decode()


class InLog:
    """A frame as a line of a process' log may have it; it is masked only where the line is written.

    A long one is told by its length alone: a part of it would have to be masked without knowing the rest.
    """

    def __init__(self, text):
        self.text = text

    def __str__(self):
        if len(self.text) > LONGEST_LOGGED:
            return f"({len(self.text)} characters)"
        return repr(masked(self.text))[:LOGGED]
