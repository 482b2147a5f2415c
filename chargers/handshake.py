"""Who may open a socket: known chargers, with their key where they have one. Settled in batches, too."""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.db.models import DateTimeField, F, Func
from django.db.models.functions import Greatest

from chargers import bulk_sql, events, keys, proxies, refusals, registry
from chargers.models import Charger
from chargers.throttling import Failures

PATH = b"/ws/ocpp/"
SUBPROTOCOL = "ocpp1.6"


class Refused(Exception):
    """No upgrade: an HTTP `status` and a sentence for whoever reads the charger's log.

    `kind` is one of `models.refusals.KINDS`, None for what is not listed. `wanted` are the `Credentials` of the
    charger, where the knock showed others.
    """

    def __init__(self, status, reason, kind=None, wanted=None):
        super().__init__(reason)
        self.status, self.reason, self.kind, self.wanted = status, reason, kind, wanted


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """A charger asks for a socket.

    `authorization` is the header as sent, b"" without one; `secured` says that it came over TLS, `subject` is
    what its client certificate, verified by the server, is about: {"CN": [names], "O": [names], "serial": hex
    digits}, or None without one. `address` is the charger's own, or that of a proxy which is not trusted.
    """

    charger_id: str
    authorization: bytes = field(default=b"", repr=False)  # it holds the key
    secured: bool = False
    subject: dict | None = None
    address: str = "127.0.0.1"

    def has_key(self, *hashes):
        """The first of `hashes` that is of the key it presents, or ""."""
        key = keys.presented(self.charger_id, self.authorization)
        return next((stored for stored in hashes if key and stored and keys.matches(key, stored)), "")


def request(charger_id, scope):
    """The `HandshakeRequest` in an ASGI scope; `config.serve` puts the subject of a client certificate there."""
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    subject = scope.get("client_certificate") or _told_by_proxy(scope)
    return HandshakeRequest(charger_id, authorization, scope["scheme"] == "wss", subject, address_in(scope))


def address_in(scope):
    """Of the charger, as far as the proxies between are believed; "" over a Unix socket."""
    return (scope["client"] or ("",))[0]


def _told_by_proxy(scope):
    """The subject of the certificate that a proxy verified; `config.websocket` says whether it is one of ours."""
    header = settings.TLS_CLIENT_CERTIFICATE_HEADER.encode()
    if not header or not scope.get("from_proxy"):
        return None
    told = [value for name, value in scope["headers"] if name == header]
    return proxies.subject(told[0]) if len(told) == 1 else None


def charger_id_in(raw_path):
    """The percent-decoded id at the end of the path, with or without a final slash (J §3.1.1)."""
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
    "This is no WebSocket handshake: the request has no `Upgrade: websocket` with `Connection: Upgrade`. A proxy on "
    "the way has dropped these headers, as it does unless it is told to pass them on: see docs/operations.md, "
    '"A proxy of your own". A charger must be set to OCPP 1.6 JSON (ws:// or wss://), not SOAP.'
)


async def answer_without_upgrade(scope, send):
    """426 for an HTTP request to the path of chargers (RFC 9110 §15.5.22); it is listed with the refused."""
    refusal, charger_id = Refused(426, NO_UPGRADE, "upgrade"), ""
    with suppress(Refused):
        charger_id = charger_id_in(scope["raw_path"])
    refusals.refused.note(charger_id, refusal, address_in(scope))
    body = f"{refusal.reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    headers += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def subprotocol(offered):
    """The subprotocol to speak, None where none was offered and none is required."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    if offered or settings.OCPP_REQUIRE_SUBPROTOCOL:
        raise Refused(
            400,
            f"This server speaks {SUBPROTOCOL}; the charger offered {', '.join(offered) or 'no subprotocol'}.",
            "subprotocol",
        )
    return None


# By the clock of the database, which is the same for all, and never backwards. Before the first socket `connected_at`
# is NULL, which PostgreSQL passes over in `greatest`: the clock alone counts.
ADMITTED_AT = Greatest(
    Func(function="clock_timestamp", output_field=DateTimeField()), F("connected_at") + timedelta.resolution
)
# The rows are locked, see `inbox`. A socket before it may have ended since this one was admitted: it was never gone.
# If the one before is still open, its connection was lost without a close: the charger was offline since `last_seen`.
OPEN_SOCKETS = """
UPDATE chargers_charger c SET connected_at = s.admitted,
    disconnected_at = CASE WHEN c.disconnected_at >= s.admitted THEN NULL
        WHEN c.disconnected_at >= c.connected_at THEN c.disconnected_at
        WHEN c.last_seen < s.admitted THEN c.last_seen END,
    last_seen = greatest(c.last_seen, s.admitted)
FROM json_to_recordset(%s) AS s(id bigint, admitted timestamptz)
WHERE c.id = s.id AND (c.connected_at IS NULL OR c.connected_at < s.admitted)
RETURNING c.id, clock_timestamp(), c.connected_at, c.last_call_id, c.last_call_digest, c.last_answer
"""


@dataclass(frozen=True, slots=True)
class ConnectionOpened:
    """A socket of a charger (primary key), `admitted` then, is open."""

    charger: int
    admitted: datetime


class Newest(NamedTuple):
    """The newest socket of a charger, and the last CALL that came by those before it.

    That CALL is final: one that another process is still writing is rolled back, see `retries.remember`.
    """

    opened_at: datetime
    last_call_id: str
    last_call_digest: str
    last_answer: str


class ConnectedCharger(NamedTuple):
    """What a socket keeps of its `Charger`, for as long as it is open: thousands of them are."""

    pk: int
    charger_id: str
    message_log: str
    validation: str
    admitted_at: datetime
    ping_interval: int | None
    ping_timeout: int | None
    boot_wait: int | None

    @classmethod
    def of(cls, charger):
        return cls(*(getattr(charger, name) for name in cls._fields))

    def __str__(self):
        return self.charger_id


class Credentials(NamedTuple):
    """What a charger must show, as it was last looked up: enough to judge a handshake without the database."""

    security_profile: int | None
    next_security_profile: int | None
    authorization_key_hash: str
    next_authorization_key_hashes: list
    certificate_names: set

    @classmethod
    def of(cls, charger):
        return cls(*(getattr(charger, name) for name in cls._fields))

    def are_shown(self, request):
        """Whether `request` shows them, for its profile or the next one."""
        profiles = {self.security_profile, self.next_security_profile or self.security_profile}
        return any(SHOWS[profile](request, self) for profile in profiles)


class HandshakeLimiter:
    """A charger id that was refused too often is not looked up for the rest of the minute: a flood costs little.

    Counted for each charger id from an address and, ten times as many, for all of an address; a charger that was
    admitted once is not counted among the latter, so that a stranger at its address does not shut it out.

    A flood of wrong keys does not shut out the charger itself: the refusals before the limit have told its
    credentials, and a knock that shows these is looked up as ever.
    """

    MOST_WANTED = 50_000  # chargers whose credentials are remembered; past it the oldest are forgotten

    def __init__(self):
        self.refused, self.admitted = Failures(), Failures()
        self.wanted = OrderedDict()  # charger id: its `Credentials`

    def look(self, request):
        """Raises `Refused` with 429, where it has been too often."""
        most = settings.OCPP_REFUSALS_PER_MINUTE
        if not most:
            return
        many = self.refused.of((request.address, request.charger_id)) >= most
        crowded = self.refused.of(request.address) >= 10 * most and request.charger_id not in self.admitted.counted
        if (many or crowded) and not self._shows_what_is_wanted(request):
            raise Refused(429, "Refused too often: try again in a minute.")

    def _shows_what_is_wanted(self, request):
        wanted = self.wanted.get(request.charger_id)
        return wanted is not None and wanted.are_shown(request)

    def refuse(self, request, wanted):
        """`request` was looked up and refused; `wanted` as in `Refused`."""
        self.refused.add((request.address, request.charger_id))
        self.refused.add(request.address)
        self.wanted.pop(request.charger_id, None)
        if wanted is not None:
            self.wanted[request.charger_id] = wanted
            if len(self.wanted) > self.MOST_WANTED:
                self.wanted.popitem(last=False)

    def admit(self, charger_id):
        self.admitted.add(charger_id)


def admit(knocks):
    """Batch: who is `ConnectedCharger` by each knock, or the `Refused` it is answered with."""
    wanted = {request.charger_id for request in knocks}
    if settings.OCPP_UNKNOWN_CHARGERS == "accept":
        _register(wanted)
    chargers = Charger.objects.filter(charger_id__in=wanted).annotate(admitted_at=ADMITTED_AT)
    chargers = chargers.prefetch_related("held_serials")
    known = {charger.charger_id: charger for charger in chargers}
    return [_verdict(request, known.get(request.charger_id)) for request in knocks]


def open_sockets(sockets):
    """Batch of `ConnectionOpened`: the `Newest` of each charger.

    `opened_at` in its CALLs shows that it is the newest one.

    None for one that is not: one that was admitted later is open, whichever of them was faster. Only now, not as it
    is admitted: a handshake that its charger gave up must not make the socket it has a former one.
    """
    newest = {opened.charger: opened for opened in sorted(sockets, key=lambda opened: opened.admitted)}
    rows = [{"id": charger, "admitted": opened.admitted} for charger, opened in sorted(newest.items())]
    found = {}
    for charger, now, *of_socket in bulk_sql.execute(OPEN_SOCKETS, rows):
        found[charger] = Newest(*of_socket)
        events.record_event("charger.online", charger, since=now)  # later than the end of the socket before
    return [found.get(opened.charger) if newest[opened.charger] is opened else None for opened in sockets]


CLOSE_SOCKETS = """
UPDATE chargers_charger c SET disconnected_at = greatest(clock_timestamp(), c.connected_at)
FROM json_to_recordset(%s) AS s(id bigint, opened timestamptz)
WHERE c.id = s.id AND c.connected_at = s.opened
    AND (c.disconnected_at IS NULL OR c.disconnected_at < c.connected_at) RETURNING c.id, c.disconnected_at
"""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The socket of a charger (primary key) that was `opened` then has ended."""

    charger: int
    opened: datetime


def close_sockets(sockets):
    """Batch of `ConnectionClosed`: the charger is offline, unless it has a newer socket."""
    rows = [{"id": closed.charger, "opened": closed.opened} for closed in sockets]
    for charger, moment in bulk_sql.execute(CLOSE_SOCKETS, rows):
        events.record_event("charger.offline", charger, since=moment)
    return [None] * len(sockets)


MOVES = (open_sockets, close_sockets)


def _register(charger_ids):
    known = set(Charger.objects.filter(charger_id__in=charger_ids).values_list("charger_id", flat=True))
    new = [Charger(charger_id=charger_id) for charger_id in sorted(charger_ids - known)]
    Charger.objects.bulk_create(new, ignore_conflicts=True)


def _verdict(request, charger):
    if charger is None:
        return Refused(404, f"Charger {request.charger_id!r} is not known here.", "unknown")
    if _meets_next(request, charger):
        _raise(charger, charger.next_security_profile)
    elif not _meets(charger.security_profile, request, charger):
        keyless = charger.security_profile is None and not charger.authorization_key_hash
        reason = OPEN if keyless else WANTED[charger.security_profile]
        wanted = Credentials.of(charger)
        return Refused(401, reason, "credentials", None if wanted.are_shown(request) else wanted)
    if charger.security_profile in BY_KEY:
        _use_next_key(request, charger)
    charger.admitted_at += timedelta.resolution  # of two that knock at once, the later one is the newer
    return ConnectedCharger.of(charger)


def _meets_next(request, charger):
    """Whether it comes with the higher profile that it was told to use."""
    wanted = charger.next_security_profile
    return wanted is not None and wanted > (charger.security_profile or 0) and _meets(wanted, request, charger)


def _meets(profile, request, charger):
    """Whether it shows what `profile` wants and, if that is a certificate, one that is its own."""
    return SHOWS[profile](request, charger) and (profile != BY_CERTIFICATE or _is_owner(request, charger))


def _has_key(request, charger):
    """Whether it presents its key, or one that was sent to it."""
    return bool(request.has_key(charger.authorization_key_hash, *charger.next_authorization_key_hashes))


def _use_next_key(request, charger):
    """Once it uses a key that was sent to it, the old one is gone (security whitepaper A01)."""
    following = charger.next_authorization_key_hashes
    presented = request.has_key(charger.authorization_key_hash, *following)
    if presented in following:
        locked = Charger.objects.select_for_update().get(pk=charger.pk)  # another key may be on its way just now
        if presented in locked.next_authorization_key_hashes:
            locked.use_key(presented)


def _raise(charger, profile):
    """It has connected with the profile it was told to use: it may not go back (security whitepaper A05.FR.09)."""
    charger.security_profile, charger.next_security_profile = profile, None
    charger.save(update_fields=["security_profile", "next_security_profile"])


def _has_certificate(request, charger):
    """In its name, and its operator's (security whitepaper A00.FR.404, A00.FR.405).

    A subject may have several of each (RFC 5280 §4.1.2.4): then none of them may be another's. Names are compared as
    they are, with case and spaces.
    """
    if not request.secured or request.subject is None:
        return False
    names, organisations = set(request.subject.get("CN", ())), set(request.subject.get("O", ()))
    return organisations == {settings.OCPP_CPO_NAME} and bool(names) and names <= charger.certificate_names


def _is_owner(request, charger):
    """One that was signed here is that of the charger it was signed for, whatever names others give themselves."""
    return registry.hooks["certificate_owner"](request.subject.get("serial", "")) in (None, charger.pk)


def _may_be_open(request, charger):
    """Whether it comes from where chargers need show nothing (OCPP_OPEN_NETWORKS)."""
    try:
        address = ip_address(request.address)
    except ValueError:  # a Unix socket, or a proxy that tells nonsense
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in settings.OCPP_OPEN_NETWORKS)


# What a connection must show to be one of a security profile (security whitepaper §2.1); one profile at a time. Told
# without the database, from a `Charger` or its `Credentials`.
BY_KEY, BY_CERTIFICATE = (None, 1, 2), 3
SHOWS = {
    None: lambda request, charger: (
        _has_key(request, charger) or (not charger.authorization_key_hash and _may_be_open(request, charger))
    ),
    0: _may_be_open,
    1: lambda request, charger: not request.secured and _has_key(request, charger),
    2: lambda request, charger: request.secured and _has_key(request, charger),
    3: _has_certificate,
}
BASIC = "Basic auth with the charger's id and its key"
OPEN = "A charger needs a key or a certificate here: its address is in none of the OCPP_OPEN_NETWORKS."
WANTED = {
    None: f"{BASIC} is required.",
    0: OPEN,
    1: f"{BASIC} is required, without TLS (security profile 1).",
    2: f"{BASIC} is required, over TLS (security profile 2).",
    3: "A client certificate of this charger is required (security profile 3).",
}
