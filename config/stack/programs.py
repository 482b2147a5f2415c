"""The command lines of the four programs: the same on one machine and in containers."""

import sys

_CELERY = ["-m", "celery", "-A", "config", "--quiet"]  # its banner is no line of a log


def web(*listen):
    """uvicorn; `listen` says on what: `--fd 3`, or `--host … --port … --workers …`."""
    return [sys.executable, "-m", "config.serve", *listen]


def worker(name, concurrency):
    """A Celery worker on the gevent pool, in which `concurrency` commands may wait at the same time."""
    quiet = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")
    return [sys.executable, *_CELERY, "worker", "-P", "gevent", "-c", str(concurrency), "-n", f"{name}@%h", *quiet]


def beat(schedule):
    """Celery beat, once for all machines; what it did is in the database, the file `schedule` says that it began."""
    return [sys.executable, *_CELERY, "beat", "--loglevel", "INFO", "--schedule", str(schedule), "--pidfile="]


def flower(host, port):
    """Flower; its login is the environment's FLOWER_BASIC_AUTH, for a command line is everybody's to read."""
    return [sys.executable, *_CELERY, "flower", f"--address={host}", f"--port={port}"]
