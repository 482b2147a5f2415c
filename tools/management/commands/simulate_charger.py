"""`manage.py simulate_charger 505`: connect simulated chargers to a running central system."""

import asyncio
import contextlib
import logging
import os

from django.conf import settings
from django.core.management.base import BaseCommand

from tools.simulator import Options, live
from transactions.models import IdTag

logger = logging.getLogger("simulator")
QUICK = {"pause": 0.1, "sample_interval": 0.5, "samples": 6, "sessions": 1}


class Command(BaseCommand):
    help = "Connect simulated chargers that boot, charge, and answer every command. Ctrl-C stops them."

    def add_arguments(self, parser):
        parser.add_argument("charger_ids", nargs="+", metavar="CHARGER_ID")
        parser.add_argument(
            "--count", type=int, default=1, help="number of chargers for each id: 505, 505-2, 505-3 …"
        )
        parser.add_argument("--once", action="store_true", help="one short session each, then end")
        parser.add_argument("--silent", action="store_true", help="never answer a command")
        here = f"ws://127.0.0.1:{os.environ.get('PORT', '8000')}"
        parser.add_argument("--url", default=here, help=f"the server (default {here})")
        key = os.environ.get("SIMULATOR_KEY", "")  # because other users can read the command line
        parser.add_argument("--key", default=key, help="the key for Basic auth (or SIMULATOR_KEY in the environment)")
        parser.add_argument("--ca", default="", help="PEM file with the roots to trust, for a wss:// URL")
        parser.add_argument("--certificate", default="", help="PEM file: the charger's key, then its certificates")
        parser.add_argument("--connectors", type=int, default=Options.connectors)
        parser.add_argument(
            "--id-tag", default=Options.id_tag, help="id tag of the sessions; added to the central system"
        )
        parser.add_argument("--pause", type=float, default=Options.pause, help="seconds between sessions")
        parser.add_argument("--sample-interval", type=float, default=Options.sample_interval, help="seconds")

    def handle(self, *, charger_ids, count, once, **options):
        IdTag.objects.get_or_create(id_tag=options["id_tag"], defaults={"description": "Of the simulated chargers"})
        names = ("url", "key", "ca", "certificate", "connectors", "id_tag", "silent", "pause", "sample_interval")
        simulation = Options(**{name: options[name] for name in names} | (QUICK if once else {}))
        all_ids = [f"{name}-{n}" if n > 1 else name for name in charger_ids for n in range(1, count + 1)]
        # The library logs each frame, so only from verbosity 2 on.
        logging.getLogger("ocpp").setLevel(logging.INFO if options["verbosity"] > 1 else logging.ERROR)
        self._report(f"{len(all_ids)} simulated chargers connect to {simulation.url}: {', '.join(all_ids[:10])}")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._live(all_ids, simulation))

    async def _live(self, charger_ids, simulation):
        await asyncio.gather(*(live(charger_id, simulation) for charger_id in charger_ids))
        self._report("Every charger had its session.")

    def _report(self, line):
        """Write `line` to the log with LOG_FORMAT=json, else to the standard output."""
        if settings.LOG_FORMAT == "json":
            logger.info(line)
        else:
            self.stdout.write(line)
