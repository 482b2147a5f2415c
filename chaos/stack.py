"""The product under test: two web processes and two workers, started again when they end, as `make run` does it."""

import contextlib
import os
import threading
import time

from bench.servers import Product


class Restless(Product):
    """Children are named by the beginning of their names; what dies is started again, unless it is `left_dead`."""

    def __init__(self, run_dir, say):
        super().__init__(run_dir, say)
        self.env["FORWARDED_ALLOW_IPS"] = "127.0.0.1"
        self.looking, self.over = threading.Lock(), False

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
        """Of the children of this name the process with the most files, and so sockets, open."""
        return max((child.process for child in self.named(name)), key=lambda process: len(_files(process.pid)))

    def signal(self, name, number, every=False):
        """Send it to the busiest process of this name, or to every one; the busiest."""
        first = self.busiest(name)
        for process in [child.process for child in self.named(name)] if every else [first]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return first

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
