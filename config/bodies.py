"""Bodies of requests. Their limit depends on the sender, who is checked before UNCHECKED_LIMIT is exceeded."""

import logging
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import RequestAborted, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from chargers.services import access
from commands.models import Upload
from core.http.errors import NOTHING_SUBMITTED
from core.observability import diagnosis

logger = logging.getLogger(__name__)

Scope = dict[str, Any]  # of ASGI, as the next two
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

UNCHECKED_LIMIT = 64 * 1024  # bytes of a body without a check of its sender, such as that of a login
LOGGED_IN_LIMIT = 8 * 2**20  # bytes of a body of a sender who has logged in, except files
MAX_UNCHECKED_BYTES = 64 * 2**20  # that this process holds of bodies whose senders were not checked
MAX_FILES = 4  # of OCPP_LARGEST_FILE that this process holds
MAX_FILES_PER_SENDER = 2  # not 1, because an earlier upload that broke off may not have timed out yet
UPLOADS = "/files/uploads/"
FIRMWARE = ("/firmware/", "/api/ocpp/firmware/", "/admin/commands/firmware/")
FIRMWARE_PERMISSIONS = ("commands.add_firmware", "commands.change_firmware")
NOT_LOGGED_IN = f"The body is too large: without a login the limit is {UNCHECKED_LIMIT // 1024} KiB."


class BodyRefused(Exception):
    """A body is not accepted. Has the HTTP `status`, the `reason` as a sentence, and `headers` of the answer."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


class Allowance(NamedTuple):
    """The body may have `limit` bytes, which count for `sender`, a key of a `ByteBudget`."""

    sender: tuple
    limit: int


class ByteBudget:
    """Counts the bytes of bodies that this process holds: at most `limit` in all, and `sender_limit` per sender."""

    def __init__(self, limit: int, sender_limit: int) -> None:
        self.limit, self.sender_limit, self.held = limit, sender_limit, 0
        self.held_by_sender: Counter[tuple] = Counter()

    def has_room(self, size: int, sender: tuple) -> bool:
        return self.held + size <= self.limit and self.held_by_sender[sender] + size <= self.sender_limit

    def take(self, size: int, sender: tuple) -> None:
        self.held += size
        self.held_by_sender[sender] += size

    def release(self, size: int, sender: tuple) -> None:
        self.held -= size
        self.held_by_sender[sender] -= size
        if not self.held_by_sender[sender]:
            del self.held_by_sender[sender]


UNKNOWN_SENDER = ()
unchecked = ByteBudget(MAX_UNCHECKED_BYTES, MAX_UNCHECKED_BYTES)
checked = ByteBudget(MAX_FILES * settings.OCPP_LARGEST_FILE, MAX_FILES_PER_SENDER * settings.OCPP_LARGEST_FILE)


class Body:
    """The received part of a body, in `file`. `close` releases its bytes from the budget."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE, "w+b")  # noqa: SIM115
        self.budget, self.sender, self.limit, self.size = unchecked, UNKNOWN_SENDER, UNCHECKED_LIMIT, 0

    def has_room(self, size: int) -> bool:
        return self.size + size <= self.limit and self.budget.has_room(size, self.sender)

    def apply(self, allowance: Allowance) -> None:
        """Take over the limit and the sender of `allowance`, and count for the budget of checked senders."""
        self.budget.release(self.size, self.sender)
        self.budget, (self.sender, self.limit) = checked, allowance
        self.budget.take(self.size, self.sender)

    def add(self, piece: bytes) -> None:
        """Append `piece`. Raise `BodyRefused` if it exceeds a limit."""
        if self.size + len(piece) > self.limit:
            raise too_large(self.limit)
        if not self.budget.has_room(len(piece), self.sender):
            raise BodyRefused(
                503, "This process is receiving too many large bodies. Try again in a minute.", retry_after="60"
            )
        self.budget.take(len(piece), self.sender)
        self.size += len(piece)
        self.file.write(piece)

    def close(self) -> None:
        self.budget.release(self.size, self.sender)
        self.size = 0
        self.file.close()


async def read(
    scope: Scope,
    receive: Receive,
    authorized: Callable[[Scope], Awaitable[Allowance]],
) -> Body:
    """Read the whole `Body` of a request. Raise `BodyRefused`, or `RequestAborted` if its client has disconnected.

    `authorized` runs `authorize` in a thread. It is called before more than UNCHECKED_LIMIT bytes are read.
    """
    body = Body()
    try:
        announced = announced_length(scope)
        if announced > UNCHECKED_LIMIT:
            body.apply(await authorized(scope))
            if announced > body.limit:
                raise too_large(body.limit)
        more = True
        while more:
            piece, more = await _next(receive)
            if body.budget is unchecked and not body.has_room(len(piece)):
                body.apply(await authorized(scope))
            body.add(piece)
        body.file.seek(0)
    except BaseException:
        body.close()
        raise
    return body


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """The next part of the body: (bytes, whether more follow)."""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise RequestAborted
    return event.get("body", b""), event.get("more_body", False)


def announced_length(scope: Scope) -> int:
    """The Content-Length of the request in bytes, 0 without one."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def too_large(limit: int) -> BodyRefused:
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 1024} KiB"
    return BodyRefused(413, f"The body is too large: the limit is {size}.")


# --- limits by sender ------------------------------------------------------------------------


def authorize(request: HttpRequest) -> Allowance:
    """The `Allowance` of a `request` whose body is not read yet. Raise `BodyRefused` if there is none."""
    try:
        return _allowance(request)
    except SuspiciousOperation as error:
        raise BodyRefused(400, f"Bad request: {error}") from error
    except DatabaseError as error:
        if (reason := diagnosis.in_words(error)) is None:
            raise
        logger.warning("A large body is refused with 503, because its sender can't be looked up: %s", error)
        raise BodyRefused(503, f"{reason} {NOTHING_SUBMITTED}", retry_after="60") from error


def _allowance(request: HttpRequest) -> Allowance:
    path = request.path_info
    if path.startswith(UPLOADS):
        return _allowance_for_upload(path.removeprefix(UPLOADS).partition("/")[0])
    user = _sender(request, path.startswith("/api/"))
    sender = ("user", user and user.pk)
    if not path.startswith(FIRMWARE):
        return Allowance(sender, LOGGED_IN_LIMIT)
    if user is not None and not any(user.has_perm(permission) for permission in FIRMWARE_PERMISSIONS):
        raise BodyRefused(403, "You do not have permission to add or change firmware.")
    return Allowance(sender, settings.OCPP_LARGEST_FILE)


def _allowance_for_upload(token: str) -> Allowance:
    upload = Upload.of(token)
    if upload is None:
        raise BodyRefused(404, "This URL is unknown or has expired.")
    return Allowance(("charger", upload.charger_id), settings.OCPP_LARGEST_FILE)


def _sender(request: Any, is_api: bool) -> Any:
    """The user who has logged in, None if the API needs no login. Raise `BodyRefused` without a login."""
    if is_api and not access.has_login():
        if not access.is_from_here(request):
            raise BodyRefused(403, "An API without a login does not accept requests from pages of other sites.")
        return None
    try:
        user_and_token = access.Tokens().authenticate(request) if is_api else None
    except AuthenticationFailed as error:
        raise BodyRefused(401, str(error.detail), www_authenticate="Token") from error
    user = user_and_token[0] if user_and_token else _session_user(request)
    if not user.is_authenticated:
        raise BodyRefused(401, NOT_LOGGED_IN, www_authenticate="Token") if is_api else BodyRefused(413, NOT_LOGGED_IN)
    return user


def _session_user(request: HttpRequest) -> Any:
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)
