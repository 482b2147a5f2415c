"""Connect to hosts that users name: only to public addresses, unless WEBHOOK_ALLOW_PRIVATE is 1."""

import socket
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import gevent
import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

# The IANA registries of special-purpose addresses, and the address of Azure's own services on each of its machines.
# The table of `ipaddress` is not used, because it differs between versions of Python.
NOT_PUBLIC = [
    ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/3", "168.63.129.16/32"),
        # Of IPv6 only 2000::/3 is in use. Excluded from it: protocols and tunnels such as Teredo, examples, and 6to4.
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
# An IPv6 address below one of these is the IPv4 address in its last 32 bits: IPv4-mapped, and NAT64 (RFC 6052).
OF_IPV4 = [ip_network("::ffff:0:0/96"), ip_network("64:ff9b::/96")]


TIMEOUTS_S = (3.05, 10)  # to connect, and for each part of the answer
MAX_DURATION_S = 30  # of a whole request, however many parts its answer has


class TooSlow(Exception):
    """A request took longer than MAX_DURATION_S."""


class NotPublicError(Exception):
    """A host has no address that may be reached; the text names the addresses and the setting."""


def is_public(address: str) -> bool:
    """Whether `address` (text, of IPv4 or IPv6) belongs to a host on the Internet."""
    parsed = ip_address(address)
    if any(parsed in network for network in OF_IPV4):
        parsed = ip_address(int(parsed) & 0xFFFFFFFF)
    return not any(parsed in network for network in NOT_PUBLIC)


def addresses_of(host: str, port: int | None) -> list[str]:
    """Return the addresses (text) of `host` that may be reached, at least one.

    Raises `NotPublicError`, `OSError` for a name without an address, or `UnicodeError` for a text that is no name.
    """
    # `getaddrinfo` accepts the same spellings as a connection, also 127.1, 0x7f.1 and 2130706433.
    resolved = dict.fromkeys(str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    allowed = [address for address in resolved if settings.WEBHOOK_ALLOW_PRIVATE or is_public(address)]
    if not allowed:
        raise NotPublicError(
            f"{host} is not a public address ({', '.join(resolved)}): use another URL, or set "
            "WEBHOOK_ALLOW_PRIVATE=1 on the server if webhooks may reach its own network."
        )
    return allowed


def check(url: str) -> None:
    """Raise `NotPublicError` if `url` leads to none but private addresses now; a name without an address passes."""
    try:
        parts = urlsplit(url)
        addresses_of(parts.hostname or "", parts.port)
    except (OSError, ValueError):  # not in the DNS yet, or not a URL, which the URL field checks
        return


class _Checked(HTTPConnection):
    """Connect to the addresses that were checked, because a second look-up could return others."""

    def _new_conn(self) -> socket.socket:
        failed: OSError | None = None
        for address in addresses_of(self.host.strip("[]"), self.port):
            try:
                return create_connection((address, self.port), self.timeout, self.source_address, self.socket_options)
            except OSError as error:
                failed = error
        kind = ConnectTimeoutError if isinstance(failed, TimeoutError) else NewConnectionError
        raise kind(self, f"No connection to {self.host}: {failed}") from failed


class _Http(_Checked):
    """`http://`."""


class _Https(_Checked, HTTPSConnection):
    """`https://`; the certificate must match the host name of the URL, as usual."""


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


def session() -> requests.Session:
    """Return a `requests.Session` that reaches allowed addresses alone, and ignores proxies and .netrc files."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def post(session: requests.Session, url: str, **content: Any) -> tuple[int, bool]:
    """POST `content`; return (HTTP status, whether it was accepted). A redirection is refused, not followed.

    Raise `TooSlow`, `NotPublicError`, `requests.RequestException`, or `ValueError` for an invalid host name.
    """
    options: dict[str, Any] = {"timeout": TIMEOUTS_S, "allow_redirects": False, "stream": True}
    # TIMEOUTS_S bounds each part of the answer alone, and a receiver may send it byte by byte.
    with gevent.Timeout(MAX_DURATION_S, TooSlow), session.post(url, **options, **content) as answer:
        return answer.status_code, answer.ok and not answer.is_redirect
