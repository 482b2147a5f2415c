"""`manage.py make_certificates`: the authority for chargers, and server certificates to try TLS with."""

import os
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from commands import authority


class Command(BaseCommand):
    help = "Make what is missing of the authority for chargers, and an RSA and an ECDSA server certificate for HOST."

    def add_arguments(self, parser):
        parser.add_argument("host", nargs="?", default="localhost", help="the server's name (default localhost)")

    def handle(self, *, host, **_):
        authority.roots()
        for kind in authority.KINDS:
            path = Path(settings.CA_DIR) / f"server-{kind}.pem"
            if not path.exists():
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(authority.server_chain(kind, host))
            self.stdout.write(str(path))
