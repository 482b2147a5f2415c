"""`python -m tools.stack run|demo`: start everything, print its URLs, and stop everything on Ctrl-C.

`python -m tools.stack manage …` runs Django's manage.py with the settings of the running stack. `web`, `worker`,
`beat` and `flower` each start one program, for containers; the environment has the URLs of PostgreSQL and Redis.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from config import startup
from tools.stack import programs
from tools.stack.processes import CannotStart, die_with_parent
from tools.stack.stack import ADMIN, FLOWER_HOST, LOCAL_DEFAULTS, PROJECT, Stack

RUN_DIR = Path(os.environ.get("RUN_DIR", PROJECT / ".run")).resolve()
DEMO_CHARGERS = ["505", "506", "507"]
DEMOS = {"demo": lambda stack: _start_demo(stack), "demo-tls": lambda stack: _start_demo_tls(stack)}
PROGRAMS = {
    "web": lambda env: programs.web(
        "--host", env["HOST"], "--port", env["PORT"], "--workers", env["WEB_CONCURRENCY"]
    ),
    "worker": lambda env: programs.worker("worker", env["WORKER_CONCURRENCY"]),
    "beat": lambda env: programs.beat(env.get("BEAT_SCHEDULE", "/tmp/beat-schedule")),
    "flower": lambda env: programs.flower(env["HOST"], env["FLOWER_PORT"]),
}
# Options for the chargers of demo-tls; `--force` because an earlier start may have created them.
PROFILE_2 = ("--security-profile", "2", "--new-key", "--force")
PROFILE_3 = ("--security-profile", "3", "--force")
BANNER = """
OCPP 1.6-J and 2.0.1 central system is up.

  Pages     {url}/              user {user}, password {password}
  Admin     {url}/admin/        the same
  API       {url}/api/ocpp/     to try it: {url}/api/docs/
  Flower    http://{flower}:{flower_port}/              the same user and password
  Chargers  {ws}/ws/ocpp/<charger id>{wss}

  Try       {curl}

Logs are in {logs}. Ctrl-C stops everything.
"""


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else "run"
    if command == "manage":
        _manage(sys.argv[2:])
    if command in PROGRAMS:
        _exec_program(command)
    if command != "run" and command not in DEMOS:
        sys.exit("usage: python -m tools.stack run|demo|demo-tls|manage|web|worker|beat|flower")
    if "MAKELEVEL" in os.environ:  # if make is killed, stop as well
        die_with_parent(signal.SIGTERM)
    return _run(command)


def _run(command):
    """Start everything, restart ended parts until a signal to stop arrives, and stop everything; the exit code."""
    stop_handler = StopHandler()
    settings = {"TLS_PORT": os.environ.get("TLS_PORT", "8443")} if command == "demo-tls" else {}
    stack = Stack(RUN_DIR, settings, say=_say)
    _say("Starting, in this order: PostgreSQL, Redis, migrations, web, Celery workers, beat, Flower.")
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop_handler)
        stack.start()
        if command in DEMOS:
            DEMOS[command](stack)
        _say(_banner(stack, DEMO_CHARGERS[0] if command in DEMOS else None))
        stop_handler.is_starting = False
        while not stop_handler.requested.wait(0.5):
            stack.restart_dead()
    except Interrupted:
        return 0
    except CannotStart as error:
        _say(f"\n{error}")
        return 1
    finally:
        stop_handler.is_starting = False
        if stack.children and not stop_handler.requested.is_set():
            _say("\nStopping.")
        stack.stop()
    return 0


class Interrupted(BaseException):
    """A signal to stop arrived during the start. A BaseException, so that no `except Exception` catches it."""


class StopHandler:
    """The handler of the signals to stop. It sets `requested`, and raises `Interrupted` during the start."""

    def __init__(self):
        self.requested, self.is_starting = threading.Event(), True

    def __call__(self, *_):
        if not self.requested.is_set():
            os.write(sys.stdout.fileno(), b"\nStopping\xe2\x80\xa6\n")  # because print is not reentrant
        self.requested.set()
        if self.is_starting:
            self.is_starting = False
            raise Interrupted


def _say(line):
    print(line, flush=True)


def _exec_program(program):
    os.environ.setdefault("HOST", "0.0.0.0")  # before the settings are loaded, because they check it
    startup.load_settings()
    argv = PROGRAMS[program](LOCAL_DEFAULTS | dict(os.environ))
    os.execv(argv[0], argv)


def _manage(arguments):
    stack = Stack(RUN_DIR)
    try:
        stack.join()
    except CannotStart as error:
        sys.exit(str(error))
    os.chdir(PROJECT)
    os.execve(sys.executable, [sys.executable, "manage.py", *arguments], stack.env)


def _start_demo(stack):
    """Start the chargers; the last one speaks OCPP 2.0.1, the others 1.6."""
    *older, newest = DEMO_CHARGERS
    _simulate(stack, *older, "--url", stack.ws_url)
    _simulate(stack, newest, "--ocpp", "2.0.1", "--url", stack.ws_url)


def _start_demo_tls(stack):
    """Start 505 without TLS, and over TLS 506 with a key (security profile 2) and 507 with a certificate (3)."""
    _simulate(stack, "505", "--url", stack.ws_url)
    tls = ("--url", f"wss://localhost:{stack.env['TLS_PORT']}")
    key = stack.manage("Charger 506", "create_charger", "506", *PROFILE_2).split()[-1]
    stack.manage("Charger 507", "create_charger", "507", *PROFILE_3)
    certificate = stack.manage("Its certificate", "make_certificates", "--charger", "507").split()[-1]
    roots = str(Path(certificate).with_name("roots.pem"))
    _simulate(stack, "506", *tls, "--ca", roots, env={"SIMULATOR_KEY": key})
    _simulate(stack, "507", *tls, "--ca", roots, "--certificate", certificate)


def _simulate(stack, charger_id, *options, env=None):
    arguments = [sys.executable, "manage.py", "simulate_charger", charger_id, *options]
    stack.start_child(f"simulator {charger_id}", arguments, env=env)


def _banner(stack, charger_id):
    header, tls_port = "", stack.env.get("TLS_PORT")
    if stack.env["API_AUTH"] == "token":
        header = f' -H "Authorization: Token {stack.api_token()}"'
    target = f"-X POST {stack.url}/api/ocpp/start/{charger_id}/" if charger_id else f"{stack.url}/api/ocpp/chargers/"
    return BANNER.format(
        url=stack.url,
        flower=FLOWER_HOST,
        flower_port=stack.env["FLOWER_PORT"],
        user=ADMIN,
        password=stack.password,
        ws=stack.ws_url,
        wss=f"\n            wss://localhost:{tls_port}/ws/ocpp/<charger id>" if tls_port else "",
        curl=f"curl{header} {target}",
        logs=stack.run_dir / "logs",
    )


if __name__ == "__main__":
    sys.exit(main())
