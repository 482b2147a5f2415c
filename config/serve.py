"""The web program: uvicorn as chargers need it and, where TLS_CERTIFICATES names certificates, TLS of its own."""

import argparse
import gc
import ssl
import sys

import uvicorn

from config.limits import allow_many_files

# Security whitepaper A00.FR.317: the four it demands, and what has forward secrecy for RSA. TLS 1.3 brings its own.
CIPHERS = ":".join(
    [
        *("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"),
        *("AES128-GCM-SHA256", "AES256-GCM-SHA384"),
    ]
)
OPTIONS = {
    "http": "config.requests:PatientHttp",
    "ws": "config.websocket:ChargerWebSocket",
    "lifespan": "off",
    "ws_per_message_deflate": False,
    "access_log": False,
    "server_header": False,
    "log_config": None,  # as the settings say, like everything else
    "log_level": "warning",
    "timeout_graceful_shutdown": 3,
}


def websocket_options():
    """uvicorn's options that the settings determine. A larger message closes its socket with 1009."""
    from django.conf import settings

    return {
        "ws_ping_interval": settings.OCPP_PING_INTERVAL,
        "ws_ping_timeout": settings.OCPP_PING_TIMEOUT,
        "ws_max_size": settings.OCPP_LARGEST_MESSAGE,
        "forwarded_allow_ips": settings.FORWARDED_ALLOW_IPS,
    }


def tls_context(config, default):
    """One context with an RSA and an ECDSA chain; a client certificate is asked for, and verified if there is one."""
    from django.conf import settings

    from commands import authority

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


def application():
    """The ASGI application, in a process that is set up for it."""
    from config import lag, metrics
    from config.asgi import application as served

    metrics.start("web")
    lag.watch()
    # What was imported stays: the collector need not look at it again, nor at every few hundred new frames.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    sys.setswitchinterval(0.0005)
    return served


def main():
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--fd", type=int, help="a listening socket, in place of host and port")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = vars(parser.parse_args())

    import django

    from config import configured

    configured.load()
    django.setup()
    from django.conf import settings

    from chargers import sealing

    try:
        sealing.require()
    except sealing.Unreadable as error:
        sys.exit(str(error))
    allow_many_files()
    if settings.LOCAL and given["fd"] is None and given["host"] not in settings.LOOPBACK:
        sys.exit(f"DEBUG=1 is for one's own machine, and {given['host']} is reached by others: set DEBUG=0.")
    tls = {"ssl_context_factory": tls_context} if settings.TLS_CERTIFICATES else {}
    uvicorn.run("config.serve:application", factory=True, **OPTIONS, **websocket_options(), **tls, **given)


if __name__ == "__main__":
    main()
