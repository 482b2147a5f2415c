"""The product under test: two web processes and two workers, started again when they end, as `make run` does it."""

import contextlib
import os
import threading
import time

from bench.servers import Product


class Restless(Product):
    """`signal` reaches a child by the beginning of its name; what dies is started again, unless it is `left_dead`."""

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

    def signal(self, name, number, every=False):
        for child in self.named(name)[: None if every else 1]:
            if child.running:
                os.kill(child.process.pid, number)

    def wait_dead(self, name):
        """Until the first child of this name is not the process that it is now."""
        child = self.named(name)[0]
        child.process.wait(30)

    def pids(self, name):
        """Of the first child of this name and its children: PostgreSQL has some."""
        first = self.named(name)[0].process.pid
        listed = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and _parent(entry.name) == first:
                listed.append(int(entry.name))
        return [first, *listed]


def _parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:  # gone meanwhile
        return None
