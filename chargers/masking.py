"""Keys and passwords in frames, masked before anybody may read them.

In doubt too much is masked: who looks for a fault seldom needs a value that is called a secret.
"""

import re

import orjson

HIDDEN = "(hidden)"
# Part of the name of a member, or of a configuration key: what it stands for is a secret. Compared without regard to
# case, and to what is neither a letter nor a digit.
SECRETS = (
    *("authorizationkey", "passw", "passphrase", "pwd", "secret", "credential"),
    *("apikey", "privatekey", "accesskey", "presharedkey", "psk", "accesstoken", "authtoken", "apitoken", "bearer"),
)
NAMES = re.compile("|".join(SECRETS))
# A frame that has none of these has no secret; an escape might hide one.
MARKS = (
    *("author", "pass", "pwd", "secret", "credential", "api", "private", "access", "shared", "psk"),
    *("token", "bearer", "://", "/files/", "\\"),
)
PUNCTUATION = re.compile(r"[\W_]+")
LONGEST_TEXT = 32_768  # characters of one text that are looked at and told; each expression takes time linear in it
RUN = re.compile(r"[^\s\"<>]+")  # a URL is within one
# The path of a file of ours is the key to it.
TOKEN = re.compile(r"(/files/(?:firmware|uploads)/)[^\s/\"?#]+")
ARGUMENT = re.compile(
    r"(?i)((?:passw|passphrase|pwd|secret|credential|token|api[_-]?key|signature|\bsig|\bkey)[\w.-]{0,40}"
    r"[\"']?\s{0,9}[=:]\s{0,9})(\"[^\"]*\"?|'[^']*'?|[^\s&;,\"'}]+)"
)
LONG_VALUE = re.compile(r'(?i)("value"\s*:\s*)"[^"]{16,}"?')  # no key is shorter


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
    if action == "ChangeConfiguration" and _is_error(frame):
        frame[3:] = [HIDDEN] * len(frame[3:])  # it may quote the key that it refuses
    elif not marks:
        return text
    try:
        return orjson.dumps(_cleaned(frame)).decode()
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
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}@"  # where it is cut, a login may just have ended
    text = LONG_VALUE.sub(rf'\1"{HIDDEN}"', text)
    if "://" in text:
        text = RUN.sub(_without_login, text)
    return ARGUMENT.sub(rf"\1{HIDDEN}", TOKEN.sub(rf"\1{HIDDEN}", text))


def _without_login(run):
    """What stands between :// and the last @ is masked, with or without a password."""
    scheme, found, rest = run[0].partition("://")
    login, at, host = rest.rpartition("@")
    return f"{scheme}{found}{HIDDEN}@{host}" if at else run[0]


def _cleaned(value):
    """`value` of JSON, in which secrets are `HIDDEN`."""
    if isinstance(value, dict):
        told = {name.lower(): branch for name, branch in value.items()}
        is_secret = isinstance(told.get("key"), str) and names_secret(told["key"])
        return {
            name: HIDDEN
            if branch is not None and (names_secret(name) or (is_secret and name.lower() == "value"))
            else _cleaned(branch)
            for name, branch in value.items()
        }
    if isinstance(value, list):
        return [_cleaned(branch) for branch in value]
    return _cleaned_text(value) if isinstance(value, str) else value


def names_secret(name):
    """Whether what is called so is to be hidden."""
    return NAMES.search(PUNCTUATION.sub("", name.lower())) is not None


def _cleaned_text(text):
    """A string, in which there may be JSON, as in DataTransfer."""
    within = _parsed(text) if text.lstrip()[:1] in ("{", "[") else None
    return _plain(text) if within is None else orjson.dumps(_cleaned(within)).decode()
