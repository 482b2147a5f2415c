"""The product under test: two web processes and two workers, started again when they end, as `make run` does it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

from psycopg import errors

from tools.bench.servers import Product, free_port
from tools.chaos.clocks import ROLES, Clocks
from tools.chaos.disk import Tmpfs
from tools.stack import programs
from tools.stack.servers import Postgres
from tools.stack.stack import PROJECT

SMALL_DISK = "small-disk"  # in the run folder
MOVES = (
    "ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE small",
    "ALTER INDEX ALL IN TABLESPACE pg_default SET TABLESPACE small",
)


class Restless(Product):
    """Children are named by the beginning of their names; what dies is started again, unless it is `left_dead`."""

    def __init__(self, run_dir, say):
        super().__init__(run_dir, say)
        self.env["FORWARDED_ALLOW_IPS"] = "127.0.0.1"
        self.looking, self.over = threading.Lock(), False
        self.clocks = None
        self.small_disk = Tmpfs(self.run_dir / SMALL_DISK)

    def look_after(self):
        threading.Thread(target=self._restart, daemon=True).start()

    def _restart(self):
        while not self.over:
            time.sleep(0.5)
            with self.looking:
                if self.over:
                    return
                for child in self.children:
                    child.failures = 0  # they are meant to
                self.restart_dead()

    @contextlib.contextmanager
    def left_dead(self):
        with self.looking:
            yield

    def named(self, name):
        return [child for child in self.children if child.name.startswith(name)]

    def busiest(self, name):
        """Return the process with the most open files, and so sockets, of the children with this name."""
        return max((child.process for child in self.named(name)), key=lambda process: len(_files(process.pid)))

    def signal(self, name, number, every=False):
        """Send it to the busiest process of this name, or to every one; the busiest."""
        first = self.busiest(name)
        for process in [child.process for child in self.named(name)] if every else [first]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return first

    # --- what scenarios add ------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def another_web(self):
        """The URL for chargers of one more web process, on a port of its own."""
        self.env["ANOTHER_PORT"] = free_port()
        listening = self._listen("ANOTHER_PORT")
        arguments = programs.web("--fd", str(listening.fileno()), "--workers", "1")
        child = self.start_child("web another", arguments, pass_fds=(listening.fileno(),))
        url = f"{self.host}:{self.env['ANOTHER_PORT']}"
        try:
            await asyncio.to_thread(child.wait_until, lambda: self._http(f"http://{url}/readyz") == 200)
            yield f"ws://{url}/ws/ocpp"
        finally:
            with self.left_dead():
                self.children.remove(child)
            await asyncio.to_thread(child.stop)
            listening.close()

    def begin_manage(self, *arguments, settings):
        """manage.py under other settings, as a process that says everything on its standard output."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=PROJECT,
            env=self.env | {"DJANGO_SETTINGS_MODULE": settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def tables_on_small_disk(self):
        """Move every table of the product to a file system of its own, which is returned; once a run."""
        if not self.small_disk.path.is_mount():
            self.small_disk.mount(Postgres(self.run_dir).user)
            self.sql(f"CREATE TABLESPACE small LOCATION '{self.small_disk.path}'")
            for move in MOVES:
                self._insist(move)
        return self.small_disk

    def _insist(self, statement):
        """It locks every table, as those who write do in an order of their own."""
        for _ in range(20):
            with contextlib.suppress(errors.DeadlockDetected):
                return self.sql(statement)
        raise RuntimeError(f"{statement} met a deadlock each time.")

    def own_clocks(self):
        """Return the `Clocks` of the web processes and workers, and restart these with them; call it once per run."""
        if self.clocks is None:
            self.clocks = Clocks(self.run_dir / "clocks")
            for role in ROLES:
                for child in self.named(role):
                    child.env |= self.clocks.environment(role)
                self.signal(role, signal.SIGTERM, every=True)
        return self.clocks

    def stop(self):
        super().stop()
        self.small_disk.unmount()

    def pids(self, name):
        """Of the busiest process of this name and its children: PostgreSQL has some."""
        first = self.busiest(name).pid
        listed = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and _parent(entry.name) == first:
                listed.append(int(entry.name))
        return [first, *listed]


def _files(pid):
    try:
        return os.listdir(f"/proc/{pid}/fd")
    except OSError:  # gone meanwhile
        return []


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:  # gone meanwhile
        return None
