"""Parse Redis URLs, which name one server, or the master of a group of sentinels."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEMES = ("redis://", "rediss://", "unix://", "sentinel://")
# Short timeouts, so that the next sentinel is tried soon.
SENTINEL_TIMEOUTS = {"socket_timeout": 1, "socket_connect_timeout": 1}


@dataclass(frozen=True)
class Sentinels:
    """`sentinel://[user:password@]host[:port],host[:port],…/master[?db=0&sentinel_password=…]`."""

    nodes: tuple
    master: str
    db: int
    username: str | None
    password: str | None
    sentinel_options: dict

    @property
    def options(self) -> dict[str, Any]:
        """Options of connections to the master."""
        options = {"db": self.db, "username": self.username, "password": self.password}
        return {name: value for name, value in options.items() if value is not None}

    @property
    def broker_url(self) -> str:
        """The URL in Celery's spelling, one for each sentinel; the transport options have the name of the master."""
        login = ""
        if self.password is not None:
            login = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        return ";".join(
            f"sentinel://{login}{f'[{host}]' if ':' in host else host}:{port}/{self.db}" for host, port in self.nodes
        )


def sentinels(url: str) -> Sentinels | None:
    """The `Sentinels` of a sentinel:// URL, None for any other scheme. Raise ValueError if it is invalid."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "sentinel":
        return None
    # Newer Pythons refuse a list of hosts with an IPv6 address, so `urlsplit` gets each host by itself.
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    parts = urlsplit("sentinel://" + rest.removeprefix(authority))
    login, _, hosts = authority.rpartition("@")
    username, _, password = (unquote(part) for part in login.partition(":"))
    nodes = [urlsplit(f"//{host}") for host in hosts.split(",")]
    master = parts.path.strip("/")
    query = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    unknown = query.keys() - {"db", "sentinel_username", "sentinel_password"}
    if not master or unknown or not all(node.hostname for node in nodes):
        raise ValueError("expected sentinel://host:26379,host:26379/master?db=0")
    sentinel_login = {name.removeprefix("sentinel_"): value for name, value in query.items() if name != "db"}
    return Sentinels(
        nodes=tuple((node.hostname, node.port or 26379) for node in nodes),
        master=master,
        db=int(query.get("db", 0)),
        username=username or None,
        password=password or None,
        sentinel_options=SENTINEL_TIMEOUTS | sentinel_login,
    )
