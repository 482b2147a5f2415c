"""Run `migrate` in a process of its own."""

import os
import signal
import subprocess
import sys

from tools.stack.stack import PROJECT


def environment(database, settings="config.settings"):
    return os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": settings}


def migrate(database, *arguments, stop_at=None, settings="config.settings"):
    """(exit code, what it said) of `migrate`; killed when it begins its migration number `stop_at`."""
    process = subprocess.Popen(
        [sys.executable, "-u", "manage.py", "migrate", "--noinput", *arguments],
        cwd=PROJECT,
        env=environment(database, settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if sum("Applying" in line for line in said) == stop_at:
            process.send_signal(signal.SIGKILL)
    return process.wait(), "".join(said)
