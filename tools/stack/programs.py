"""The command lines of the four programs, on one machine and in containers."""

import sys

_CELERY = ["-m", "celery", "-A", "config", "--quiet"]  # because its banner is no log line


def web(*listen):
    """uvicorn. `listen` is `--fd 3`, or `--host … --port … --workers …`."""
    return [sys.executable, "-m", "config.serve", *listen]


def worker(name, concurrency):
    """A Celery worker with a gevent pool, in which up to `concurrency` commands wait at the same time."""
    quiet = ("--without-gossip", "--without-mingle", "--loglevel", "INFO")
    return [sys.executable, *_CELERY, "worker", "-P", "gevent", "-c", str(concurrency), "-n", f"{name}@%h", *quiet]


def beat(schedule):
    """Celery beat, of which exactly one may run. It creates the file `schedule`; its state is in the database."""
    return [sys.executable, *_CELERY, "beat", "--loglevel", "INFO", "--schedule", str(schedule), "--pidfile="]


def flower(host, port):
    """Flower. FLOWER_BASIC_AUTH in the environment has its login, because any user can read a command line."""
    return [sys.executable, *_CELERY, "flower", f"--address={host}", f"--port={port}"]
