"""The web program: uvicorn with the options for chargers, and with TLS if TLS_CERTIFICATES is set."""

import argparse
import gc
import ssl
import sys
from typing import Any

import uvicorn

from config import startup

# Security whitepaper A00.FR.317 requires four suites; the two of ECDHE-RSA add forward secrecy. TLS 1.3 has its own.
CIPHERS = ":".join(
    [
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
        *("AES128-GCM-SHA256", "AES256-GCM-SHA384"),
    ]
)
OPTIONS: dict[str, Any] = {
    "http": "config.requests:TimeLimitedHttp",
    "ws": "config.websocket:ChargerWebSocket",
    "lifespan": "off",
    "ws_per_message_deflate": False,
    "access_log": False,
    "server_header": False,
    "log_config": None,  # Django's settings configure the log
    "log_level": "warning",
    "timeout_graceful_shutdown": 3,
}


def websocket_options() -> dict[str, Any]:
    """The options of uvicorn that depend on the settings. A message above ws_max_size closes its socket with 1009."""
    from django.conf import settings

    return {
        "ws_ping_interval": settings.OCPP_PING_INTERVAL,
        "ws_ping_timeout": settings.OCPP_PING_TIMEOUT,
        "ws_max_size": settings.OCPP_LARGEST_MESSAGE,
        "forwarded_allow_ips": settings.FORWARDED_ALLOW_IPS,
    }


def tls_context(config: Any, default: Any) -> ssl.SSLContext:
    """A context with the server's chains (RSA, ECDSA). A client certificate is optional, and verified if sent."""
    from django.conf import settings

    from commands.services import authority

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    for path in settings.TLS_CERTIFICATES:
        context.load_cert_chain(path)
    context.verify_mode = ssl.CERT_OPTIONAL
    if settings.TLS_CLIENT_CA:
        context.load_verify_locations(settings.TLS_CLIENT_CA)
    else:
        context.load_verify_locations(cadata="".join(authority.roots().values()))
    return context


def application() -> Any:
    """Set up this process, and return the ASGI application."""
    from config import asgi, metrics  # in this order, because `asgi` sets up Django
    from dashboard import incidents

    metrics.start("web")
    incidents.keep_watching()
    metrics.watch_event_loop()
    # The collector skips imported objects, because they stay alive. It delays all frames, so it runs rarely: see
    # `config`.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(0.0005)
    return asgi.application


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="a listening socket, in place of host and port")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = vars(parser.parse_args())

    import django

    startup.load_settings()
    django.setup()
    from django.conf import settings

    from core.db import sealing

    try:
        sealing.require()
    except sealing.Unreadable as error:
        sys.exit(str(error))
    startup.allow_many_files()
    if settings.LOCAL and options["fd"] is None and options["host"] not in settings.LOOPBACK:
        sys.exit(
            f"DEBUG=1 is for development on one machine, but other machines can reach {options['host']}. Set DEBUG=0."
        )
    tls: dict[str, Any] = {"ssl_context_factory": tls_context} if settings.TLS_CERTIFICATES else {}
    uvicorn.run("config.serve:application", factory=True, **OPTIONS, **websocket_options(), **tls, **options)


if __name__ == "__main__":
    main()
