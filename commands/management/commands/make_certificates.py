"""`manage.py make_certificates`: create the authority for chargers, and certificates of a server or a charger."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from commands.services import authority


class Command(BaseCommand):
    help = "Create the authority for chargers, and an RSA and an ECDSA certificate for a server, if they are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("host", nargs="?", default="localhost", help="the server's name (default localhost)")

        parser.add_argument("--charger", help="create the key and certificate of the charger with this id instead")

    def handle(self, *, host: str, charger: str | None, **_: Any) -> None:
        folder = Path(settings.CA_DIR)
        roots = folder / "roots.pem"
        roots.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        roots.write_text("".join(authority.roots().values()))
        if charger:
            path = folder / f"charger-{quote(charger, safe='')}.pem"
            self._write(path, partial(authority.charger_chain, charger))
            return
        for kind in authority.KINDS:
            self._write(folder / f"server-{kind}.pem", partial(authority.server_chain, kind, host))

    def _write(self, path: Path, make: Callable[[], str]) -> None:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(make())
        self.stdout.write(str(path))
