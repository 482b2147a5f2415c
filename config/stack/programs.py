"""The command lines of the three programs: the same on one machine and in containers."""

import sys

# Ping and pong find dead sockets within 40 s; a frame larger than 1 MiB closes its socket with 1009.
_UVICORN = [
    *("-m", "uvicorn", "config.asgi:application", "--ws", "websockets-sansio", "--lifespan", "off"),
    *("--ws-ping-interval", "20", "--ws-ping-timeout", "20", "--ws-max-size", str(1024 * 1024)),
    *("--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning"),
    *("--timeout-graceful-shutdown", "3"),
]
_CELERY = ["-m", "celery", "-A", "config"]


def web(*listen):
    """uvicorn; `listen` are its options that say on what: `--fd 3`, or `--host … --port … --workers …`."""
    return [sys.executable, *_UVICORN, *listen]


def worker(name, concurrency):
    """A Celery worker on the gevent pool, in which `concurrency` commands may wait at the same time."""
    quiet = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")
    return [sys.executable, *_CELERY, "worker", "-P", "gevent", "-c", str(concurrency), "-n", f"{name}@%h", *quiet]


def flower(host, port):
    """Flower; its login is the environment's FLOWER_BASIC_AUTH, for a command line is everybody's to read."""
    return [sys.executable, *_CELERY, "flower", f"--address={host}", f"--port={port}"]
