"""Bodies of requests: how much of one is taken is judged by who sends it, before more than FREE bytes are read."""

import logging
import tempfile
from collections import Counter
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import RequestAborted, SuspiciousOperation
from django.db import DatabaseError
from rest_framework.exceptions import AuthenticationFailed

from chargers import access, diagnosis
from chargers.errors import ENDED, NOTHING_SUBMITTED
from commands.models import Upload

logger = logging.getLogger(__name__)

FREE = 64 * 1024  # bytes that anybody may send: logins, and requests whose views refuse them
LARGEST = 8 * 2**20  # bytes of any other body, of somebody who has logged in
STRANGERS = 64 * 2**20  # bytes that this process holds of bodies whose senders were not judged
FILES = 4  # files of OCPP_LARGEST_FILE for which there is room in this process
OF_ONE = 2  # of them, the room for one sender: another upload of it may have been cut off, and not have ended yet
UPLOADS = "/files/uploads/"
FIRMWARE = ("/api/ocpp/firmware/", "/admin/commands/firmware/")
FIRMWARE_RIGHTS = ("commands.add_firmware", "commands.change_firmware")
NOT_LOGGED_IN = f"Without a login at most {FREE // 1024} KiB are taken here."


class Refused(Exception):
    """A body is not taken: an HTTP `status`, a sentence and headers for whoever sends it."""

    def __init__(self, status, reason, **headers):
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


class Allowed(NamedTuple):
    """`sender`, a key for the room that it takes, may have a body of `limit` bytes."""

    sender: tuple
    limit: int


class Room:
    """The bytes that this process holds of the bodies of some senders: at most `most`, and `of_one` of each."""

    def __init__(self, most, of_one):
        self.most, self.of_one, self.held, self.senders = most, of_one, 0, Counter()

    def has(self, size, sender):
        return self.held + size <= self.most and self.senders[sender] + size <= self.of_one

    def take(self, size, sender):
        self.held += size
        self.senders[sender] += size

    def give_back(self, size, sender):
        self.held -= size
        self.senders[sender] -= size
        if not self.senders[sender]:
            del self.senders[sender]


NOBODY = ()  # the sender of a body that was not judged
strangers = Room(STRANGERS, STRANGERS)
known = Room(FILES * settings.OCPP_LARGEST_FILE, OF_ONE * settings.OCPP_LARGEST_FILE)


class Body:
    """What came of a body, as a `file` from its beginning. To be closed, which gives back its room."""

    def __init__(self):
        self.file = tempfile.SpooledTemporaryFile(settings.FILE_UPLOAD_MAX_MEMORY_SIZE, "w+b")  # noqa: SIM115
        self.room, self.sender, self.limit, self.size = strangers, NOBODY, FREE, 0

    def has_room(self, size):
        return self.size + size <= self.limit and self.room.has(size, self.sender)

    def admit(self, allowed):
        """Its sender is known: it may have what is `Allowed`, and counts among others of known senders."""
        self.room.give_back(self.size, self.sender)
        self.room, (self.sender, self.limit) = known, allowed
        self.room.take(self.size, self.sender)

    def add(self, piece):
        """Raises `Refused` where there is no room for `piece`."""
        if self.size + len(piece) > self.limit:
            raise too_large(self.limit)
        if not self.room.has(len(piece), self.sender):
            raise Refused(503, "Too many large bodies are on their way: try again in a minute.", retry_after="60")
        self.room.take(len(piece), self.sender)
        self.size += len(piece)
        self.file.write(piece)

    def close(self):
        self.room.give_back(self.size, self.sender)
        self.size = 0
        self.file.close()


async def read(scope, receive, judged):
    """The whole `Body` of a request. Raises `Refused`, or `RequestAborted` where its client has gone.

    `judged` is `judge`, run in a thread: it is asked once there are more than FREE bytes, before they are read.
    """
    body = Body()
    try:
        announced = announced_by(scope)
        if announced > FREE:
            body.admit(await judged(scope))
            if announced > body.limit:
                raise too_large(body.limit)
        more = True
        while more:
            piece, more = await _next(receive)
            if body.room is strangers and not body.has_room(len(piece)):
                body.admit(await judged(scope))
            body.add(piece)
        body.file.seek(0)
    except BaseException:
        body.close()
        raise
    return body


async def _next(receive):
    """(bytes, whether there are more)"""
    event = await receive()
    if event["type"] == "http.disconnect":
        raise RequestAborted
    return event.get("body", b""), event.get("more_body", False)


def announced_by(scope):
    """The length of the body as its client says, in bytes."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def too_large(limit):
    size = f"{limit // 2**20} MiB" if limit >= 2**20 else f"{limit // 1024} KiB"
    return Refused(413, f"The body is too large: at most {size} are taken here.")


# --- who may send how much -------------------------------------------------------------------


def judge(request):
    """What is `Allowed` to `request`, whose body is not there yet. Raises `Refused`."""
    try:
        return _allowed(request)
    except SuspiciousOperation as error:
        raise Refused(400, f"Bad request: {error}") from error
    except DatabaseError as error:
        logger.warning("It can't be looked up who sends a body, which is refused with 503: %s", error)
        wrong = diagnosis.in_words(error) or ENDED
        raise Refused(503, f"{wrong} {NOTHING_SUBMITTED}", retry_after="60") from error


def _allowed(request):
    path = request.path_info
    if path.startswith(UPLOADS):
        return _of_upload(path.removeprefix(UPLOADS).partition("/")[0])
    user = _sender(request, path.startswith("/api/"))
    sender = ("user", user and user.pk)
    if not path.startswith(FIRMWARE):
        return Allowed(sender, LARGEST)
    if user is not None and not any(user.has_perm(right) for right in FIRMWARE_RIGHTS):
        raise Refused(403, "You do not have permission to add or change firmware.")
    return Allowed(sender, settings.OCPP_LARGEST_FILE)


def _of_upload(token):
    place = Upload.of(token)
    if place is None:
        raise Refused(404, "This URL is not known, or its time is over.")
    return Allowed(("charger", place.charger_id), settings.OCPP_LARGEST_FILE)


def _sender(request, is_api):
    """The user who has logged in, None where the API asks for no login."""
    if is_api and not access.has_login():
        if not access.is_from_here(request):
            raise Refused(403, "An API without a login is not for the pages of other sites.")
        return None
    try:
        found = access.Tokens().authenticate(request) if is_api else None
    except AuthenticationFailed as error:
        raise Refused(401, str(error.detail), www_authenticate="Token") from error
    user = found[0] if found else _of_session(request)
    if not user.is_authenticated:
        raise Refused(401, NOT_LOGGED_IN, www_authenticate="Token") if is_api else Refused(413, NOT_LOGGED_IN)
    return user


def _of_session(request):
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)
