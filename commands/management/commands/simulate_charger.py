"""`manage.py simulate_charger 505`: simulated chargers against a running central system."""

import asyncio
import contextlib
import logging
import os

from django.conf import settings
from django.core.management.base import BaseCommand

from commands.simulator import Options, live
from transactions.models import IdTag

logger = logging.getLogger("simulator")
QUICK = {"pause": 0.1, "sample_interval": 0.5, "samples": 6, "sessions": 1}


class Command(BaseCommand):
    help = "Connect simulated chargers that boot, charge, and answer every command. Ctrl-C ends them."

    def add_arguments(self, parser):
        parser.add_argument("charger_ids", nargs="+", metavar="CHARGER_ID")
        parser.add_argument("--count", type=int, default=1, help="chargers to make of each id: 505, 505-2, 505-3 …")
        parser.add_argument("--once", action="store_true", help="one short session each, then end")
        parser.add_argument("--silent", action="store_true", help="never answer a command")
        here = f"ws://127.0.0.1:{os.environ.get('PORT', '8000')}"
        parser.add_argument("--url", default=here, help=f"the server (default {here})")
        key = os.environ.get("SIMULATOR_KEY", "")  # for a command line is everybody's to read
        parser.add_argument("--key", default=key, help="the key for Basic auth (or SIMULATOR_KEY in the environment)")
        parser.add_argument("--ca", default="", help="PEM file with the roots to trust, for a wss:// URL")
        parser.add_argument("--certificate", default="", help="PEM file: the charger's key, then its certificates")
        parser.add_argument("--connectors", type=int, default=Options.connectors)
        parser.add_argument("--id-tag", default=Options.id_tag, help="made known to the central system first")
        parser.add_argument("--pause", type=float, default=Options.pause, help="seconds between sessions")
        parser.add_argument("--sample-interval", type=float, default=Options.sample_interval, help="seconds")

    def handle(self, *, charger_ids, count, once, **given):
        IdTag.objects.get_or_create(id_tag=given["id_tag"], defaults={"description": "Of the simulated chargers"})
        names = ("url", "key", "ca", "certificate", "connectors", "id_tag", "silent", "pause", "sample_interval")
        options = Options(**{name: given[name] for name in names} | (QUICK if once else {}))
        every = [f"{name}-{n}" if n > 1 else name for name in charger_ids for n in range(1, count + 1)]
        # Each frame is logged from verbosity 2 on; otherwise a line a change would drown the rest.
        logging.getLogger("ocpp").setLevel(logging.INFO if given["verbosity"] > 1 else logging.ERROR)
        self._say(f"{len(every)} simulated chargers connect to {options.url}: {', '.join(every[:10])}")
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self._live(every, options))

    async def _live(self, every, options):
        await asyncio.gather(*(live(charger_id, options) for charger_id in every))
        self._say("Every charger had its session.")

    def _say(self, line):
        """To whoever reads it: a person, or what reads the log."""
        if settings.LOG_FORMAT == "json":
            logger.info(line)
        else:
            self.stdout.write(line)
