"""`make run` starts in order, reports errors, and leaves no process behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.live import eventually, free_port
from tools.stack import restarts, servers
from tools.stack.processes import CannotStart
from tools.stack.stack import PROJECT, Stack

ORDER = ["PostgreSQL ready", "Redis ready", "Migrations ready", "Web ready", "worker 1 ready", "Flower ready"]


class Run:
    """`python -m tools.stack run` in its own folder."""

    def __init__(self, folder, **environment):
        self.folder, self.port = folder, free_port()
        dropped = (
            "DATABASE_URL",
            "REDIS_URL",
            "BROKER_URL",
            "SECRET_KEY",
            "SECRETS_KEYS",
            "DEBUG",
            "API_AUTH",
            "MAKELEVEL",
        )
        env = {name: value for name, value in os.environ.items() if name not in dropped}
        env |= {
            "RUN_DIR": str(folder),
            "PORT": str(self.port),
            "FLOWER_PORT": str(free_port()),
        }
        self.output_file = folder.parent / f"{folder.name}-{self.port}.out"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.stack", "run"],
            cwd=PROJECT,
            env=env | environment,
            stdout=self.output_file.open("w"),
            stderr=subprocess.STDOUT,
        )

    def output(self):
        return self.output_file.read_text()

    def until_up(self):
        eventually(lambda: "Ctrl-C stops everything" in self.output() or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.output()
        places = [self.output().index(part) for part in ORDER]
        assert places == sorted(places)

    def family(self):
        """The pids of this process and of all its descendants."""
        listed = subprocess.run(["ps", "-eo", "pid,ppid,stat"], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in listed.splitlines()[1:]]
        parents = {int(pid): int(parent) for pid, parent, stat in rows if not stat.startswith("Z")}
        pids = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in pids} - pids:
            pids |= more
        return pids


def alive(pids):
    def running(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return {pid for pid in pids if running(pid)}


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Runs:
    """The stacks of this module, one after the other in one folder, because each start takes long."""

    def __init__(self, folder):
        self.folder, self.latest = folder, None

    def up(self):
        """Return the stack that runs; start one if a test has ended the previous one."""
        if self.latest is None or self.latest.process.poll() is not None:
            self.latest = Run(self.folder)
            self.latest.until_up()
        return self.latest


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    runs = Runs(tmp_path_factory.mktemp("stack") / "run")
    yield runs
    if runs.latest:
        runs.latest.process.terminate()
        runs.latest.process.wait(60)


@pytest.fixture
def run(runs):
    """A stack that is up."""
    return runs.up()


@linux
def test_a_killed_stack_ends_its_children_and_the_next_run_recovers(run, runs):
    family = run.family()
    run.process.kill()
    run.process.wait()
    eventually(lambda: not alive(family))
    again = runs.up()
    assert urllib.request.urlopen(f"http://127.0.0.1:{again.port}/readyz").status == 200
    assert "Admin user" in run.output()
    assert "Admin user" not in again.output()  # the data is the same


@linux
def test_a_process_that_is_killed_is_restarted(run):
    (worker,) = [pid for pid in run.family() if b"worker1@" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: "worker 1 ended by itself" in run.output())


BREAKS = ["sh", "-c", "echo first; echo It is broken.; exit 3"]
GOES_ON = ["sleep", "600"]


@pytest.fixture
def parts(tmp_path):
    """(a stack with a prepared folder and no parts, the lines that it has printed)."""
    printed = []
    stack = Stack(tmp_path / "run", say=printed.append)
    stack._prepare_folder()
    yield stack, printed
    stack.stop()


def restart_until(stack, seconds, until=lambda: False):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        stack.restart_dead()
        time.sleep(0.05)


def test_a_part_that_keeps_ending_is_restarted_after_growing_delays(parts):
    stack, printed = parts
    well, broken = stack.start_child("well", GOES_ON), stack.start_child("broken", BREAKS)
    pid, began = well.process.pid, time.monotonic()
    restart_until(stack, 60, until=lambda: broken.failures == 5)
    assert time.monotonic() - began > 1 + 2 + 4
    endings = [line.splitlines()[0] for line in printed]
    assert endings == [
        "broken ended by itself (code 3). It is restarted now.",
        "broken ended by itself (code 3), 2 times in a row. It is restarted in 1 s.",
        "broken ended by itself (code 3), 3 times in a row. It is restarted in 2 s.",
        "broken ended by itself (code 3), 4 times in a row. It is restarted in 4 s.",
        "broken ended by itself (code 3), 5 times in a row. It is restarted in 8 s.",
    ]
    assert "  Log: It is broken." in printed[-1]
    assert printed[-1].count("It is broken.") == 1
    assert str(broken.log) in printed[-1]
    assert well.running and well.process.pid == pid
    assert restarts.restart_delay_s(100) == restarts.MAX_DELAY_S == 30


def test_the_failures_of_a_part_that_runs_for_a_while_are_forgotten(parts, monkeypatch):
    monkeypatch.setattr(restarts, "STABLE_AFTER_S", 1)
    stack, printed = parts
    part = stack.start_child("part", GOES_ON)
    part.failures = 7
    restart_until(stack, 20, until=lambda: part.failures == 0)
    assert printed == ["part has run for 1 s now."]
    part.process.kill()
    restart_until(stack, 20, until=lambda: part.failures)
    assert printed[-1].startswith("part ended by itself (signal 9). It is restarted now.")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("OSError: [Errno 98] Address already in use", "Another program uses its port"),
        ("could not write to file: No space left on device", "The disk is full"),
        (
            "PermissionError: [Errno 13] Permission denied: '/x'",
            "It lacks the permission for a file.",
        ),
    ],
)
def test_a_known_cause_is_reported_with_its_remedy(parts, words, advice):
    stack, printed = parts
    broken = stack.start_child("broken", ["sh", "-c", f'echo "{words}"; exit 1'])
    restart_until(stack, 20, until=lambda: broken.failures)
    assert f"  Cause: {advice}" in printed[0]


def test_settings_that_have_become_unusable_are_named(parts):
    stack, printed = parts
    stack.env["OCPP_VALIDATION"] = "perhaps"
    broken = stack.start_child("web", [sys.executable, "-m", "config.serve", "--port", "1"])
    restart_until(stack, 60, until=lambda: broken.failures == 2)
    (cause,) = [line for line in printed[-1].splitlines() if line.startswith("  Cause:")]
    assert "OCPP_VALIDATION" in cause
    assert "Correct that" in cause
    assert "Traceback" not in printed[-1]


def test_a_part_that_cannot_start_does_not_end_the_stack(parts):
    stack, printed = parts
    broken = stack.start_child("broken", BREAKS)
    broken.argv = ["/nowhere/to/be/found"]
    restart_until(stack, 20, until=lambda: broken.failures == 2)
    assert "broken could not be started: No such file or directory (/nowhere/to/be/found)." in printed


def test_a_full_disk_is_reported_as_the_cause(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m,mode=755", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")
    printed = []
    stack = Stack(folder / "run", say=printed.append)
    try:
        stack._prepare_folder()
        broken = stack.start_child("PostgreSQL", BREAKS)
        filler = folder / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - 2**20)
        restart_until(stack, 20, until=lambda: broken.failures)
        full = f"The disk is full: {stack.run_dir} has"
        assert printed[0].startswith(full)
        assert f"  Cause: {full}" in printed[1]
        filler.unlink()
        restart_until(stack, 20, until=lambda: "The disk has space again." in printed)
        assert "The disk has space again." in printed
    finally:
        stack.stop()
        stack.lock.close()
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_second_one_in_the_same_folder_is_refused(run):
    second = Run(run.folder)
    assert second.process.wait(60) == 1
    assert "running already" in second.output()
    assert run.process.poll() is None


def test_a_busy_port_is_named(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        run = Run(tmp_path / "run", PORT=str(port))
        assert run.process.wait(60) == 1
    assert f"Port {port} on 127.0.0.1 can't be used" in run.output()
    assert "Traceback" not in run.output()


def test_a_damaged_folder_is_named(tmp_path):
    data = tmp_path / "run" / "postgres"
    data.mkdir(parents=True)
    (data / "base").mkdir()
    run = Run(tmp_path / "run")
    assert run.process.wait(60) == 1
    assert f"{data} contains no PostgreSQL database" in run.output()
    assert "Traceback" not in run.output()


def test_a_wrong_setting_is_named(tmp_path):
    run = Run(tmp_path / "run", OCPP_UNKNOWN_CHARGERS="perhaps")
    assert run.process.wait(60) == 1
    assert "OCPP_UNKNOWN_CHARGERS" in run.output()
    assert "Traceback" not in run.output()


@pytest.mark.parametrize(
    ("variable", "url"),
    [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"), ("REDIS_URL", "redis://127.0.0.1:1/0")],
)
def test_an_unreachable_server_is_named(tmp_path, variable, url):
    run = Run(tmp_path / "run", **{variable: url})
    assert run.process.wait(60) == 1
    assert f"Correct {variable}" in run.output()
    assert "Traceback" not in run.output()


def test_a_public_host_requires_keys_and_tokens(tmp_path, monkeypatch):
    for name in ("DEBUG", "API_AUTH", "OCPP_UNKNOWN_CHARGERS", "ALLOWED_HOSTS", "SECURE_SSL"):
        monkeypatch.delenv(name, raising=False)
    env = Stack(tmp_path, {"HOST": "0.0.0.0"}).env
    assert (env["DEBUG"], env["API_AUTH"], env["OCPP_UNKNOWN_CHARGERS"]) == ("0", "token", "reject")
    assert "localhost" in env["ALLOWED_HOSTS"]
    assert Stack(tmp_path, {"HOST": "127.0.0.1"}).env["DEBUG"] == "1"


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "80000"), ("DATABASE_URL", "sqlite:////tmp/x.db"), ("WORKERS", "many")]
)
def test_an_invalid_setting_is_reported_in_one_sentence(tmp_path, variable, value):
    run = Run(tmp_path / "run", **{variable: value})
    assert run.process.wait(60) == 1
    output = run.output()
    assert variable in output, output
    assert "Traceback" not in output, output
    assert len(output.strip().splitlines()) <= 3, output


def test_several_web_processes_start_without_an_imported_django(tmp_path):
    """uvicorn spawns each of them, as in a container with WEB_CONCURRENCY."""
    port, env = free_port(), os.environ | {"FILES_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "config.serve", "--port", str(port), "--workers", "2"]
    web = subprocess.Popen(command, cwd=PROJECT, env=env, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: web.poll() is None and answers(f"http://127.0.0.1:{port}/healthz"), 30)
    finally:
        web.terminate()
        assert "Traceback" not in web.communicate(timeout=20)[1]


def answers(url):
    """Whether an HTTP server answers with 200."""
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    "program",
    [
        *(["manage.py", "migrate"], ["manage.py", "check"], ["-m", "config.serve", "--port", "1"]),
        *(["-m", "tools.stack", name] for name in ("web", "worker", "beat", "flower")),
    ],
)
@pytest.mark.parametrize(("variable", "value"), [("PORT", "80000"), ("DATABASE_URL", "sqlite:////tmp/x.db")])
def test_every_program_reports_an_invalid_setting_in_one_sentence(program, variable, value):
    env = os.environ | {variable: value}
    done = subprocess.run(
        [sys.executable, *program], cwd=PROJECT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert variable in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@linux
@pytest.mark.parametrize("moment", ["Starting", "PostgreSQL ready", "Migrations ready"])
def test_ctrl_c_during_the_start_is_acknowledged_and_leaves_no_process(tmp_path, moment):
    run = Run(tmp_path / "run")
    eventually(lambda: moment in run.output() or run.process.poll() is not None, 60)
    family = run.family()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(60) == 0
    assert "Stopping…" in run.output()
    assert "Traceback" not in run.output()
    assert "is up" not in run.output()
    assert not alive(family)


def test_sockets_are_not_created_in_a_folder_of_another_user(tmp_path, monkeypatch):
    own = servers.own_folder(tmp_path / "own")
    assert servers.own_folder(own) == own
    assert own.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(own)
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    for name, complaint in (("link", "not a folder"), ("file", "not a folder"), ("open", "open to others")):
        with pytest.raises(CannotStart, match=complaint):
            servers.own_folder(tmp_path / name)
    monkeypatch.setattr(os, "geteuid", lambda: own.stat().st_uid + 1)
    with pytest.raises(CannotStart, match="belongs to user"):
        servers.own_folder(own)


def test_the_simulator_connects_to_the_address_of_the_running_stack(run):
    env = {name: value for name, value in os.environ.items() if name not in ("PORT", "DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "-m", "tools.stack", "manage", "simulate_charger", "--help"]
    env |= {"RUN_DIR": str(run.folder)}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, check=True)
    assert f"ws://127.0.0.1:{run.port})" in done.stdout


@linux
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stack_stops_without_leftovers(run, signal_number):
    assert f"http://127.0.0.1:{run.port}/admin/" in run.output()
    family = run.family()
    assert len(family) > 5
    run.process.send_signal(signal_number)
    assert run.process.wait(60) == 0
    assert not alive(family)
