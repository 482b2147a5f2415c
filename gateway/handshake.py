"""The WebSocket handshake: check the credentials of chargers, and record opened and closed sockets in batches."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict
from urllib.parse import unquote_to_bytes

from asgiref.typing import HTTPScope, WebSocketScope
from django.conf import settings
from django.db.models import DateTimeField, F, Func
from django.db.models.functions import Greatest

from chargers.models import Charger
from chargers.services import refusals
from commands.services.signing import certificate_owner
from core.http import proxies
from core.ocpp import versions
from core.ocpp.versions import Version
from core.redis.throttling import Failures
from gateway import protocols
from gateway.credentials import (
    ADDRESS_NOT_OPEN,
    BY_CERTIFICATE,
    BY_KEY,
    PRESENTS,
    REQUIREMENTS,
    Credentials,
    HandshakeRequest,
)

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

PATH = b"/ws/ocpp/"
Send = Callable[[dict[str, Any]], Awaitable[None]]  # of ASGI
Receive = Callable[[], Awaitable[dict[str, Any]]]  # of ASGI


class Wire(Protocol):
    """The server's side of a socket, see `config.websocket`. It spares an asyncio task most frames."""

    def forget_handshake(self) -> None:
        """Drop what only the handshake needs, among it the members of the scope, because many sockets are idle."""

    def keep_alive(self, interval: float, timeout: float) -> None:
        """Ping every `interval` seconds (0: never), and close `timeout` seconds after a ping without any byte."""

    def read_by(self, take: Callable[[str], bool]) -> None:
        """Pass each text frame to `take` first. Where that returns False, the frame is queued for `Receive`."""

    def write_text(self, text: str) -> bool:
        """Return whether a text frame was written: the socket is open, and its peer reads."""


class OfConnection(TypedDict, total=False):
    """The members that `config.websocket` adds to a scope."""

    client_certificate: proxies.Subject  # that TLS has verified
    from_proxy: bool  # true for a connection of a proxy that is trusted
    socket: Wire


class SocketScope(WebSocketScope, OfConnection):
    """The scope of a charger's socket."""


class RequestScope(HTTPScope, OfConnection):
    """The scope of an HTTP request to the path of chargers."""


class Refused(Exception):
    """The handshake is refused with the HTTP `status`. `reason` is the body, for readers of the charger's log.

    `kind` is one of `models.refusals.KINDS`, None for a refusal that is not listed. `credentials` are the expected
    `Credentials` of the charger, if the request presented others.
    """

    def __init__(
        self, status: int, reason: str, kind: str | None = None, credentials: Credentials | None = None
    ) -> None:
        super().__init__(reason)
        self.status, self.reason, self.kind, self.credentials = status, reason, kind, credentials


def request(charger_id: str, scope: SocketScope) -> HandshakeRequest:
    """Read the `HandshakeRequest` from an ASGI scope. `config.serve` adds the subject of a certificate."""
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    subject = scope.get("client_certificate") or _subject_from_proxy(scope)
    return HandshakeRequest(charger_id, authorization, scope["scheme"] == "wss", subject, address_in(scope))


def address_in(scope: SocketScope | RequestScope) -> str:
    """Return the address of the charger, or of a proxy which is not trusted; "" for a Unix socket."""
    return (scope["client"] or ("",))[0]


def _subject_from_proxy(scope: SocketScope) -> proxies.Subject | None:
    """Return the subject of the certificate that a proxy has verified, if `config.websocket` trusts the proxy."""
    header = settings.TLS_CLIENT_CERTIFICATE_HEADER.encode()
    if not header or not scope.get("from_proxy"):
        return None
    values = [value for name, value in scope["headers"] if name == header]
    return proxies.subject(values[0]) if len(values) == 1 else None


def charger_id_in(raw_path: bytes) -> str:
    """Return the percent-decoded charger id at the end of the path, with or without a final slash (J §3.1.1).

    Raise `Refused` with 404 for another path or an invalid id.
    """
    try:
        charger_id = unquote_to_bytes(raw_path.removeprefix(PATH).removesuffix(b"/")).decode()
    except UnicodeDecodeError as error:
        raise Refused(404, "The charger id in the path is not UTF-8.", "path") from error
    if not raw_path.startswith(PATH) or not 0 < len(charger_id) <= 255 or "\0" in charger_id:
        where = raw_path.decode("ascii", "backslashreplace")
        reason = f"Connect to /ws/ocpp/<charger id>, an id of 1 to 255 characters, not to {where:.100}"
        raise Refused(404, reason, "path")
    return charger_id


NO_UPGRADE = (
    "This is no WebSocket handshake: the request has no `Upgrade: websocket` with `Connection: Upgrade`. A proxy has "
    "probably dropped these headers. Configure it to pass them on, see docs/operations.md, "
    '"A proxy of your own". A charger must be set to OCPP 1.6 JSON (ws:// or wss://), not SOAP.'
)


async def answer_without_upgrade(scope: RequestScope, send: Send) -> None:
    """Answer 426 to an HTTP request to the path of chargers (RFC 9110 §15.5.22), and list it as a refusal."""
    refusal, charger_id = Refused(426, NO_UPGRADE, "upgrade"), ""
    with suppress(Refused):
        charger_id = charger_id_in(scope["raw_path"])
    refusals.refused.note(charger_id, refusal, address_in(scope))
    body = f"{refusal.reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def negotiate(offered: list[str]) -> tuple[Version, str | None]:
    """Return (version, subprotocol to answer with); the latter is None if none is offered and none is required.

    Raise `Refused` with 400 if none of the offered ones is spoken here.
    """
    if version := versions.negotiate(offered):
        return version, version.subprotocol
    if offered or settings.OCPP_REQUIRE_SUBPROTOCOL:
        spoken = ", ".join(versions.BY_SUBPROTOCOL)
        reason = f"This server speaks {spoken}; the charger offered {', '.join(offered) or 'no subprotocol'}."
        raise Refused(400, reason, "subprotocol")
    return protocols.DEFAULT, None


# The database's clock is used, because all processes share it, and the time never goes back. Before the first socket
# `connected_at` is NULL, which `greatest` of PostgreSQL ignores.
ADMITTED_AT = Greatest(
    Func(function="clock_timestamp", output_field=DateTimeField()), F("connected_at") + timedelta.resolution
)


class ConnectedCharger(NamedTuple):
    """The columns of a `Charger` that its open socket needs. They are few, because thousands of sockets are open."""

    pk: int
    identity: str
    message_log: str
    validation: str
    admitted_at: datetime
    ping_interval: int | None
    ping_timeout: int | None
    boot_wait: int | None
    serials: frozenset[str]  # the serial numbers that the client certificate names

    @classmethod
    def of(cls, charger: Charger, serials: Iterable[str] = ()) -> "ConnectedCharger":
        columns = {name: getattr(charger, name) for name in cls._fields if name != "serials"}
        return cls(**columns, serials=frozenset(serials))

    def __str__(self) -> str:
        return self.identity


class Admitted(TypedDict):
    """The annotation of a `Charger` that is read for its handshake."""

    admitted_at: datetime


class HandshakeLimiter:
    """Refuse handshakes of a charger id that was refused too often within a minute, without reading the database.

    Refusals are counted for each pair of address and charger id and, with ten times the limit, for each address. A
    charger that was admitted before is exempt from the limit of its address, so that others there cannot lock it out.

    A flood of wrong keys does not lock out the charger itself. The refusals before the limit have provided its
    credentials, and a request that presents these is checked as usual.
    """

    MAX_CREDENTIALS = 50_000  # chargers whose credentials are remembered; beyond it the oldest are forgotten

    def __init__(self) -> None:
        self.refused, self.admitted = Failures(), Failures()
        self.credentials: OrderedDict[str, Credentials] = OrderedDict()  # by charger id

    def check(self, request: HandshakeRequest) -> None:
        """Raise `Refused` with 429 if the charger id or the address was refused too often."""
        limit = settings.OCPP_REFUSALS_PER_MINUTE
        if not limit:
            return
        charger_is_over = self.refused.of((request.address, request.charger_id)) >= limit
        is_stranger = request.charger_id not in self.admitted.counted
        address_is_over = self.refused.of(request.address) >= 10 * limit and is_stranger
        if (charger_is_over or address_is_over) and not self._presents_credentials(request):
            raise Refused(429, "Refused too often: try again in a minute.")

    def _presents_credentials(self, request: HandshakeRequest) -> bool:
        credentials = self.credentials.get(request.charger_id)
        return credentials is not None and credentials.match(request)

    def refuse(self, request: HandshakeRequest, credentials: Credentials | None) -> None:
        """Count `request`, which was refused. `credentials` are as in `Refused`."""
        self.refused.add((request.address, request.charger_id))
        self.refused.add(request.address)
        self.credentials.pop(request.charger_id, None)
        if credentials is not None:
            self.credentials[request.charger_id] = credentials
            if len(self.credentials) > self.MAX_CREDENTIALS:
                self.credentials.popitem(last=False)

    def admit(self, charger_id: str) -> None:
        self.admitted.add(charger_id)


def admit(requests: list[HandshakeRequest]) -> list[ConnectedCharger | Refused]:
    """Handle a batch of `HandshakeRequest`: return a `ConnectedCharger` or a `Refused` for each."""
    charger_ids = {request.charger_id for request in requests}
    if settings.OCPP_UNKNOWN_CHARGERS == "accept":
        _register(charger_ids)
    chargers = Charger.objects.filter(identity__in=charger_ids).annotate(admitted_at=ADMITTED_AT)
    chargers = chargers.prefetch_related("held_serials")
    known = {charger.identity: charger for charger in chargers}
    return [_verdict(request, known.get(request.charger_id)) for request in requests]


def _register(charger_ids: set[str]) -> None:
    known = set(Charger.objects.filter(identity__in=charger_ids).values_list("identity", flat=True))
    new = [Charger(identity=charger_id) for charger_id in sorted(charger_ids - known)]
    Charger.objects.bulk_create(new, ignore_conflicts=True)


def _verdict(
    request: HandshakeRequest, charger: "WithAnnotations[Charger, Admitted] | None"
) -> ConnectedCharger | Refused:
    if charger is None:
        return Refused(404, f"Charger {request.charger_id!r} is not known here.", "unknown")
    if _meets_next(request, charger):
        _raise(charger, charger.next_security_profile)
    elif not _meets(charger.security_profile, request, charger):
        keyless = charger.security_profile is None and not charger.authorization_key_hash
        reason = ADDRESS_NOT_OPEN if keyless else REQUIREMENTS[charger.security_profile]
        credentials = Credentials.of(charger)
        return Refused(401, reason, "credentials", None if credentials.match(request) else credentials)
    if charger.security_profile in BY_KEY:
        _use_next_key(request, charger)
    charger.admitted_at += timedelta.resolution  # so that the later of two requests in one batch is the newer one
    return ConnectedCharger.of(charger, _serials(request, charger))


def _serials(request: HandshakeRequest, charger: Charger) -> set[str]:
    """Return the serial numbers in the certificate that has admitted the charger, whose name may also be its id."""
    if charger.security_profile != BY_CERTIFICATE or request.subject is None:
        return set()
    return set(request.subject.get("CN", ())) - {charger.identity}


def _meets_next(request: HandshakeRequest, charger: Charger) -> bool:
    """Return whether the request meets the higher security profile that the charger was configured to use."""
    profile = charger.next_security_profile
    return profile is not None and profile > (charger.security_profile or 0) and _meets(profile, request, charger)


def _meets(profile: int | None, request: HandshakeRequest, charger: Charger) -> bool:
    """Return whether the request presents the credentials of `profile`. A certificate must be the charger's own."""
    return PRESENTS[profile](request, charger) and (profile != BY_CERTIFICATE or _is_owner(request, charger))


def _use_next_key(request: HandshakeRequest, charger: Charger) -> None:
    """Replace the charger's key by a new one that it uses for the first time (security whitepaper A01)."""
    next_hashes = charger.next_authorization_key_hashes
    presented = request.has_key(charger.authorization_key_hash, *next_hashes)
    if presented in next_hashes:
        locked = Charger.objects.select_for_update().get(pk=charger.pk)  # another key may be being sent now
        if presented in locked.next_authorization_key_hashes:
            locked.use_key(presented)


def _raise(charger: Charger, profile: int | None) -> None:
    """Store the higher profile with which the charger has connected. It may not go back (whitepaper A05.FR.09)."""
    charger.security_profile, charger.next_security_profile = profile, None
    charger.save(update_fields=["security_profile", "next_security_profile"])


def _is_owner(request: HandshakeRequest, charger: Charger) -> bool:
    """Return whether the certificate is the charger's. One that was signed here belongs to the charger that requested
    it, whatever names another charger has."""
    serial = request.subject.get("serial", "") if request.subject else ""
    return certificate_owner(serial) in (None, charger.pk)
