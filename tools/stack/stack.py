"""All programs and servers on one machine: their order and their settings."""

import base64
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tools.stack import programs
from tools.stack.processes import CannotStart, Child
from tools.stack.restarts import Restarts
from tools.stack.servers import ADMIN_MADE, Postgres, Redis, private_folder

PROJECT = Path(__file__).resolve().parent.parent.parent
MIN_FREE_BYTES = 200 * 2**20
ADMIN = "admin"
SERVERS = {"DATABASE_URL": Postgres, "REDIS_URL": Redis}
# For development on one machine, without configuration. Variables of the environment replace them.
LOCAL_DEFAULTS = {
    "DEBUG": "1",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "FLOWER_PORT": "5555",
    "WEB_CONCURRENCY": "2",
    "WORKERS": "1",
    "WORKER_CONCURRENCY": "1000",
    "API_AUTH": "none",
    "OCPP_UNKNOWN_CHARGERS": "accept",
    "OCPP_REQUIRE_SUBPROTOCOL": "0",
}
# {name of its file in the run folder: function that generates the secret at the first start}
SECRET_GENERATORS = {
    "password": lambda: secrets.token_hex(10),
    "secret-key": lambda: secrets.token_hex(32),
    "secrets-keys": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FLOWER_HOST = "127.0.0.1"  # even if HOST is not loopback, because parts of Flower need no login


def _public_defaults():
    """Defaults if HOST is not loopback, so that access requires a key or a token."""
    names = {socket.gethostname(), socket.getfqdn(), *LOOPBACK}
    with contextlib.suppress(OSError):
        names |= {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None)}
    return {
        "DEBUG": "0",
        "ALLOWED_HOSTS": ",".join(sorted(names)),
        "SECURE_SSL": "0",
        "API_AUTH": "token",
        "OCPP_UNKNOWN_CHARGERS": "reject",
        "OCPP_REQUIRE_SUBPROTOCOL": "1",
    }


class Stack:
    """The stack: `start` it, call `restart_dead` regularly, and `stop` it."""

    def __init__(self, run_dir, settings=None, say=print):
        self.run_dir = Path(run_dir)
        self.say = say
        files = {"FILES_DIR": str(self.run_dir / "files")}
        overrides = files | dict(os.environ) | (settings or {})
        local = overrides.get("HOST", LOCAL_DEFAULTS["HOST"]) in LOOPBACK
        self.env = LOCAL_DEFAULTS | ({} if local else _public_defaults()) | overrides
        self.children = []
        self.listening = []
        self.restarts = Restarts(self.run_dir, say, self._settings_error)

    # --- start and stop ----------------------------------------------------------------------

    def start(self, flower=True):
        """Start each part after the previous one is ready. Raise `CannotStart`."""
        self._prepare_folder()
        self._check_settings()
        web, flower_port = self._listen("PORT"), self._number("FLOWER_PORT")
        (self.run_dir / "address").write_text(self.ws_url)
        if flower:
            self._listen("FLOWER_PORT", FLOWER_HOST).close()
        for variable in SERVERS:
            self._start_server(variable)
        self.manage("Migrations", "migrate", "--noinput", "--patience", "60")
        self._make_admin()
        self._start_web(web)
        if self.env.get("TLS_PORT"):
            self._start_tls()
        for number in range(1, self._number("WORKERS") + 1):
            self._start_worker(number)
        self._start_beat()
        if flower:
            self._start_flower(flower_port)

    def join(self):
        """Adopt the settings of the stack that runs in this folder. Raise `CannotStart` without one."""
        if not (self.run_dir / "secret-key").exists():
            raise CannotStart("No stack was started here yet. Start one with `make run`, then use another terminal.")
        self._set_keys()
        for variable, server_class in SERVERS.items():
            self.env[variable] = self.env.get(variable) or server_class(self.run_dir).url()
        self.env["SIMULATOR_URL"] = (self.run_dir / "address").read_text()

    def stop(self):
        """Stop all parts in reverse order, and return when no process is left."""
        for child in reversed(self.children):
            if child.running:
                self.say(f"  stopping {child.name}")
            child.stop()
        for listening in self.listening:
            listening.close()

    def restart_dead(self):
        """Restart and report parts that ended by themselves. Call it twice a second."""
        self.restarts.restart_due(self.children)

    def _settings_error(self):
        """The current error of the settings, such as a file that no longer exists, or ""."""
        try:
            self._check_settings()
        except CannotStart as error:
            return str(error)
        return ""

    # --- preparation -------------------------------------------------------------------------

    def _prepare_folder(self):
        try:
            private_folder(self.run_dir)
            free = shutil.disk_usage(self.run_dir).free
            if free < MIN_FREE_BYTES:
                raise CannotStart(
                    f"The disk is full: {self.run_dir} has {free // 2**20} MiB left. Free at least 200 MiB."
                )
            self.lock = (self.run_dir / "lock").open("w")
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._set_keys()
            self.password = self._secret("password")
        except BlockingIOError as error:
            raise CannotStart(f"Another stack is running already in {self.run_dir}. Stop that one first.") from error
        except OSError as error:
            raise CannotStart(
                f"The folder {self.run_dir} can't be used: {error.strerror} ({error.filename})."
            ) from error

    def _check_settings(self):
        """Raise `CannotStart` with the error of the first invalid setting."""
        done = self._run("-m", "config.startup")
        if done.returncode:
            last_line = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise CannotStart(f"A setting is invalid. {last_line[0]}")

    def _set_keys(self):
        """Set keys that the environment lacks. `SECRETS_KEYS` encrypts the secrets in the database."""
        self.env.setdefault("SECRET_KEY", self._secret("secret-key"))
        self.env.setdefault("SECRETS_KEYS", self._secret("secrets-keys"))

    def _secret(self, name):
        """A random secret, which is generated at the first start and stored in its own file."""
        path = self.run_dir / name
        if not path.exists() or not path.read_text().strip():
            path.touch(mode=0o600)
            path.write_text(SECRET_GENERATORS[name]() + "\n")
        return path.read_text().strip()

    def _number(self, name):
        try:
            return int(self.env[name])
        except ValueError as error:
            raise CannotStart(f"{name} must be a number, not {self.env[name]!r}.") from error

    def _listen(self, name, host=None):
        """A listening socket on HOST and the port of the setting `name`, opened early so that it stays reserved."""
        host, port = host or self.env["HOST"], self._number(name)
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # uvicorn sets it only on sockets that it opens itself; connections inherit it from this one.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listening.bind((host, port))
            listening.listen(2048)
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} can't be used ({error.strerror}). Stop the program that uses it, "
                f"or choose another port with {name}={port + 1} make run."
            ) from error
        self.listening.append(listening)
        return listening

    # --- the parts ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _progress(self, name):
        began = time.monotonic()
        yield
        self.say(f"  {name} ready ({time.monotonic() - began:.1f} s)")

    def _start_server(self, variable):
        server_class = SERVERS[variable]
        name = server_class.name
        if self.env.get(variable):
            self.say(f"  {name} is the server that {variable} names")
            try:
                server_class.reach(self.env[variable])
            except CannotStart as error:
                raise CannotStart(f"{error} Correct {variable}, or unset it to start a server here.") from error
            return
        with self._progress(name):
            server = server_class(self.run_dir)
            try:
                server.start()
            finally:
                self.children.extend([server.child] if server.child else [])
            self.env[variable] = server.url()

    def manage(self, title, *arguments, env=None):
        with self._progress(title):
            done = self._run("manage.py", *arguments, env=env)
            if done.returncode:
                last_line = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
                raise CannotStart(
                    f"{title} failed: {' '.join(last_line)} Correct this, then run `manage.py {arguments[0]}` again."
                )
        return done.stdout

    def _run(self, *arguments, env=None):
        """Run Python with `arguments` until it ends, in its own process group, so that Ctrl-C does not reach it."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.env | (env or {}),
            capture_output=True,
            text=True,
            check=False,
            process_group=0,
        )

    def _make_admin(self):
        made = self.run_dir / ADMIN_MADE
        if made.exists():
            return
        user = {
            "DJANGO_SUPERUSER_USERNAME": ADMIN,
            "DJANGO_SUPERUSER_PASSWORD": self.password,
            "DJANGO_SUPERUSER_EMAIL": "",
        }
        try:
            self.manage("Admin user", "createsuperuser", "--noinput", env=user)
        except CannotStart as error:
            if "already taken" not in str(error):
                raise
            self.password = "the existing one (manage.py changepassword admin sets a new one)"
            return
        made.touch()

    def _start_web(self, listening):
        with self._progress("Web"):
            arguments = programs.web("--fd", str(listening.fileno()), "--workers", "1")
            for number in range(1, self._number("WEB_CONCURRENCY") + 1):
                self.start_child(f"web {number}", arguments, pass_fds=(listening.fileno(),))
            self.children[-1].wait_until(lambda: self._http(f"{self.url}/readyz") == 200)

    def _start_tls(self):
        """Start another web process, which terminates TLS with certificates issued for this machine."""
        listening = self._listen("TLS_PORT")
        certificates = self.manage("TLS certificates", "make_certificates").split()
        with self._progress("Web with TLS"):
            arguments = programs.web("--fd", str(listening.fileno()))
            env = {"TLS_CERTIFICATES": ",".join(certificates)}
            child = self.start_child("web tls", arguments, env=env, pass_fds=(listening.fileno(),))
            child.wait_until(lambda: self._tls_answers())

    def _tls_answers(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # we have just issued its certificate
        address = (self.host.strip("[]"), self._number("TLS_PORT"))
        try:
            with socket.create_connection(address, 3) as plain, context.wrap_socket(plain):
                return True
        except OSError:
            return False

    def _start_worker(self, number):
        with self._progress(f"Celery worker {number}"):
            arguments = programs.worker(f"worker{number}", self.env["WORKER_CONCURRENCY"])
            # SIGTERM lets tasks finish; the sweep of the next worker resumes tasks that SIGKILL ends.
            signals = [(signal.SIGTERM, 2), (signal.SIGKILL, 1)]
            child = self.start_child(f"worker {number}", arguments, signals=signals)
            child.wait_until(lambda: child.logged(" ready."))

    def _start_beat(self):
        with self._progress("Celery beat"):
            child = self.start_child("beat", programs.beat(self.run_dir / "beat-schedule"))
            child.wait_until(lambda: child.logged("beat: Starting"))

    def _start_flower(self, port):
        with self._progress("Flower"):
            env = {"FLOWER_BASIC_AUTH": f"{ADMIN}:{self.password}"}
            arguments = programs.flower(FLOWER_HOST, port)
            child = self.start_child("Flower", arguments, env=env)
            child.wait_until(lambda: self._http(f"http://{FLOWER_HOST}:{port}/") in (200, 401))

    def api_token(self):
        """A new token of the admin user, for the first request. It replaces the token of the previous start."""
        return self.manage("API token", "create_token", ADMIN, "make run", "--replace").split()[-1]

    def start_child(self, name, arguments, env=None, **options):
        """Start another process, which is restarted and stopped with the others."""
        log = self.run_dir / "logs" / f"{name.lower().replace(' ', '-')}.log"
        child = Child(
            name, arguments, self.env | {"PYTHONUNBUFFERED": "1"} | (env or {}), log, cwd=PROJECT, **options
        )
        self.children.append(child)
        return child.start()

    # --- addresses ---------------------------------------------------------------------------

    @property
    def host(self):
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.env["HOST"], self.env["HOST"])
        return f"[{host}]" if ":" in host else host

    @property
    def url(self):
        return f"http://{self.host}:{self.env['PORT']}{self.env.get('URL_PREFIX', '').rstrip('/')}"

    @property
    def ws_url(self):
        return self.url.replace("http", "ws", 1)

    def _http(self, url):
        """The status of a GET, or None without an answer."""
        try:
            return urllib.request.urlopen(url, timeout=5).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None
