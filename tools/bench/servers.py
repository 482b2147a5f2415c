"""Who is measured: this central system with its PostgreSQL and Redis, and its peers, each on loopback."""

import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import django
import psycopg

from tools.simulator.sessions import TAGS
from tools.stack import programs
from tools.stack.processes import Child
from tools.stack.stack import PROJECT, Stack

RPC = PROJECT / "tools" / "bench" / "peers" / "rpc"
SETTINGS = {"OCPP_COMMAND_TIMEOUT": "30", "WORKER_CONCURRENCY": "1200", "DEBUG": "1", "API_AUTH": "none"}
SETTINGS |= {"OCPP_MESSAGE_LOG": "errors"}  # as on a server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Product(Stack):
    """The product's own parts, started and stopped as a stage needs them; PostgreSQL and Redis stay."""

    def __init__(self, run_dir, say):
        super().__init__(run_dir, SETTINGS | {"PORT": free_port()}, say=lambda line: None)
        self.tell = say

    def prepare(self):
        """PostgreSQL, Redis, the schema, and tags that may charge."""
        self._prepare_folder()
        for variable in ("DATABASE_URL", "REDIS_URL"):
            self._start_server(variable)
        self.manage("Migrations", "migrate", "--noinput")
        self.sql(
            "INSERT INTO transactions_idtag (id_tag, status, parent_id_tag, description, created_at) "
            "SELECT 'TAG' || lpad(n::text, 4, '0'), 'Accepted', '', '', now() FROM generate_series(0, %s) n "
            "ON CONFLICT DO NOTHING",
            [TAGS - 1],
        )
        os.environ.update(self.env | {"DJANGO_SETTINGS_MODULE": "config.settings"})
        django.setup()  # for what the bench needs of Celery and of Django's sessions by the bench itself

    def sql(self, statement, parameters=None):
        """Run it in autocommit; its rows, if it has any."""
        with psycopg.connect(self.env["DATABASE_URL"], autocommit=True) as connection:
            found = connection.execute(statement, parameters)
            return found.fetchall() if found.description else []

    @contextlib.contextmanager
    def web(self, processes=1):
        """The children that serve chargers and REST."""
        self.env["WEB_CONCURRENCY"] = str(processes)
        with self._until_left() as children:
            self._start_web(self._listen("PORT"))
            yield children

    @contextlib.contextmanager
    def workers(self, number):
        """Celery workers that know the task that does nothing, too."""
        with self._until_left() as children:
            for name in range(1, number + 1):
                arguments = programs.worker(f"worker{name}", self.env["WORKER_CONCURRENCY"])
                child = self.start_child(f"worker {name}", [*arguments, "--include", "tools.bench.tasks"])
                child.wait_until(lambda child=child: child.logged(" ready."))
            yield children

    @contextlib.contextmanager
    def _until_left(self):
        before, listening = len(self.children), len(self.listening)
        try:
            yield (children := _Since(self.children, before))
        finally:
            for child in reversed(list(children)):
                child.stop()
            del self.children[before:]
            for opened in self.listening[listening:]:
                opened.close()
            del self.listening[listening:]

    @property
    def chargers_url(self):
        return f"{self.ws_url}/ws/ocpp"


class _Since:
    """The children started since."""

    def __init__(self, children, before):
        self.children, self.before = children, before

    def __iter__(self):
        return iter(self.children[self.before :])


@contextlib.contextmanager
def reference(run_dir):
    """(child, url) of the `ocpp` library's central system."""
    with _peer(
        "reference", run_dir, lambda port: [sys.executable, "-m", "tools.bench.peers.reference", port]
    ) as running:
        yield running


@contextlib.contextmanager
def ocpp_rpc(run_dir):
    """(child, url) of npm ocpp-rpc; its packages must be there, see `install_ocpp_rpc`."""
    folder = run_dir / "ocpp-rpc"
    with _peer("ocpp-rpc", run_dir, lambda port: ["node", str(folder / "server.js"), port]) as running:
        yield running


@contextlib.contextmanager
def _peer(name, run_dir, command):
    port = free_port()
    child = Child(name, command(port), dict(os.environ), run_dir / "logs" / f"{name}.log", cwd=PROJECT).start()
    try:
        child.wait_until(lambda: _listens(int(port)))
        yield child, f"ws://127.0.0.1:{port}"
    finally:
        child.stop()


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def install_ocpp_rpc(run_dir):
    """Whether ocpp-rpc can be measured; npm installs it into the run folder."""
    folder = run_dir / "ocpp-rpc"
    if not shutil.which("npm") or not shutil.which("node"):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "server.js"):
        shutil.copy(RPC / name, folder / name)
    if not (folder / "node_modules" / "ocpp-rpc").exists():
        done = subprocess.run(
            ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
    return True


def load(kind, url, watched=(), **options):
    """Run the load to its end. Return what it measured, with the CPU of the watched children.

    The CPU counts from when the chargers are ready. `spent` is {name of a child: µs for a message}, `cores` {name of
    a child: its share of a core}.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(_load_command(kind, url, options), cwd=PROJECT, text=True, **pipes) as running:
        running.stdout.readline()
        before, began = [cpu(child.process.pid) for child in watched], time.monotonic()
        report, errors = running.stdout.read(), running.stderr.read()
        took = time.monotonic() - began
    if running.returncode:
        raise RuntimeError(f"The load failed: {errors.strip().splitlines()[-1:]}")
    result = json.loads(report)
    messages = sum(result["messages"].values())
    pairs = zip(watched, before, strict=True)
    used = {child.name: cpu(child.process.pid) - earlier for child, earlier in pairs}
    spent = {name: seconds / messages * 1e6 for name, seconds in used.items()}
    return result | {"spent": spent, "cores": {name: seconds / took for name, seconds in used.items()}}


@contextlib.contextmanager
def fleet(url, **options):
    """Chargers that are connected until the block is left."""
    command = _load_command("idle", url, options)
    child = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        up = json.loads(child.stdout.readline())["up"]
        if up != options["chargers"]:
            raise RuntimeError(f"Only {up} of {options['chargers']} chargers are connected.")
        yield
    finally:
        child.stdin.close()
        child.wait(30)


def _load_command(kind, url, options):
    given = []
    for name, value in options.items():
        given += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return [sys.executable, "-m", "tools.bench.load", kind, "--url", url, *given]


def memory(pid):
    """Resident bytes of a process."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout) * 1024


def cpu(pid):
    """Seconds of CPU of a process and of all that it started, ended ones too. Not a number without Linux's /proc."""
    ticks, started = {}, defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            started[int(fields[1])].append(int(stat.parent.name))
            ticks[int(stat.parent.name)] = sum(map(int, fields[11:15]))

    def tree(root):
        return ticks.get(root, math.nan) + sum(map(tree, started[root]))

    return tree(pid) / os.sysconf("SC_CLK_TCK")


def clean(run_dir):
    """A folder without the data of an earlier run."""
    shutil.rmtree(run_dir, ignore_errors=True)
    Path(run_dir).mkdir(parents=True)
