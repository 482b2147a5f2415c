"""One more web process beside those of `live`, with other settings, on the same database and Redis."""

import os
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from tests.support.live import Live, free_port
from tests.support.servers import RUN_DIR
from tools.stack import programs
from tools.stack.processes import Child
from tools.stack.stack import PROJECT

# As on a server: nobody gets in without a key or a token.
SERVER = {"DEBUG": "0", "API_AUTH": "token", "OCPP_UNKNOWN_CHARGERS": "reject", "OCPP_REQUIRE_SUBPROTOCOL": "1"}


class Web(Live):
    """`Live` whose HTTP requests and sockets go to this process."""

    def __init__(self, live, name, env):
        super().__init__(live.stack, live.database_url)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = live.stack.env | {"PORT": str(self.port), "TLS_PORT": "", "PUBLIC_URL": self.url} | env
        log = RUN_DIR / "beside" / f"{name}.log"
        signals = [(signal.SIGTERM, 5), (signal.SIGKILL, 2)]
        self.child = Child(name, programs.web("--port", str(self.port)), env, log, signals=signals, cwd=PROJECT)

    @property
    def ws_url(self):
        return f"ws://127.0.0.1:{self.port}/ws/ocpp"

    def logged(self):
        """The text that this process has logged."""
        return self.child.log.read_bytes()[self.child.logged_at_start :].decode()

    def open_files(self):
        """{path: size} of the files that this process has open, those without a name as well (Linux)."""
        found = {}
        for entry in Path(f"/proc/{self.child.process.pid}/fd").iterdir():
            try:
                path = os.readlink(entry)
                if path.startswith("/"):
                    found[path] = entry.stat().st_size
            except OSError:  # closed meanwhile
                continue
        return found

    def is_up(self):
        try:
            return urllib.request.urlopen(f"{self.url}/healthz", timeout=5).status == 200
        except OSError:
            return False


@contextmanager
def web_beside(live, name, **env):
    """A running `Web` with the settings `env`, and the other settings of `SERVER`."""
    web = Web(live, name, SERVER | env)
    web.child.start()
    try:
        web.child.wait_until(web.is_up)
        yield web
    finally:
        web.child.stop()


def token(live, username, *permissions):
    """A token of a new user, who holds `permissions` such as `chargers.view_charger`."""
    script = f"""
from django.contrib.auth.models import Permission, User
from chargers.models import ApiToken
user = User.objects.create_user({username!r})
for name in {permissions!r}:
    app, codename = name.split(".")
    user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
print(ApiToken.make(user, "test")[1])
"""
    return live.stack.manage("A token", "shell", "-v", "0", "-c", script).split()[-1]
