"""`manage.py simulate_charger 505`: connect simulated chargers to a running central system."""

import argparse
import asyncio
import contextlib
import logging
import os
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.ocpp.versions import OCPP16
from tools.simulator.charger import VERSIONS, Options, live
from tools.simulator.ocpp16 import NO_ERROR
from tools.simulator.quirks import QUIRKS
from tools.simulator.vendors import VENDORS
from transactions.models import IdTag

logger = logging.getLogger("simulator")
QUICK = {"pause": 0.1, "sample_interval": 0.5, "samples": 6, "sessions": 1, "fault_seconds": 1.0}
STATUS = OCPP16.schemas.requests["StatusNotification"].resolved["properties"]
FAULTS = sorted({*STATUS["errorCode"]["enum"]} - {NO_ERROR})
NAMES = (
    *(
        "url",
        "ocpp",
        "key",
        "ca",
        "certificate",
        "connectors",
        "id_tag",
        "unknown_tag",
        "silent",
        "pause",
        "sample_interval",
    ),
    *("vendor", "quirks", "fault", "fault_seconds"),
)


def _listed(title, entries):
    """The lines of --help for a table of (name: entry with `help`)."""
    return "\n".join([f"{title}:", *(f"  {name:20}{entry.help}" for name, entry in entries.items())])


class Command(BaseCommand):
    help = "Connect simulated chargers that boot, charge, and answer every command. Ctrl-C stops them."

    def create_parser(self, *arguments, **options):
        parser = super().create_parser(*arguments, **options)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = "\n\n".join([_listed("values of --vendor", VENDORS), _listed("values of --quirk", QUIRKS)])
        return parser

    def add_arguments(self, parser):
        parser.add_argument("charger_ids", nargs="*", metavar="CHARGER_ID")
        parser.add_argument(
            "--count", type=int, default=1, help="number of chargers for each id: 505, 505-2, 505-3 …"
        )
        parser.add_argument("--once", action="store_true", help="one short session each, then end")
        parser.add_argument("--silent", action="store_true", help="never answer a command")
        here = os.environ.get("SIMULATOR_URL") or f"ws://127.0.0.1:{os.environ.get('PORT', '8000')}"
        parser.add_argument("--url", default=here, help=f"the server (default {here})")
        parser.add_argument(
            "--ocpp", choices=VERSIONS, default=Options.ocpp, help=f"version (default {Options.ocpp})"
        )
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
        self._add_odd_ones(parser)

    def _add_odd_ones(self, parser):
        odd = parser.add_argument_group("odd chargers")
        odd.add_argument(
            "--vendor", choices=VENDORS, default=Options.vendor, metavar="NAME", help="profile, see below"
        )
        odd.add_argument(
            "--quirk",
            dest="quirks",
            action="append",
            default=[],
            choices=QUIRKS,
            metavar="QUIRK",
            help="deviation from OCPP, see below; may be repeated",
        )
        odd.add_argument(
            "--fault",
            choices=FAULTS,
            default="",
            metavar="CODE",
            help=f"a connector is Faulted with this errorCode after each session: {', '.join(FAULTS)}",
        )
        seconds = Options.fault_seconds
        odd.add_argument(
            "--fault-seconds", type=float, default=seconds, help=f"until it recovers (default {seconds:g})"
        )
        odd.add_argument("--unknown-tag", action="store_true", help="present tags that nobody has registered")
        odd.add_argument(
            "--unknown-charger", action="store_true", help="connect one more charger, whose id nobody has registered"
        )

    def handle(self, *, charger_ids, count, once, unknown_charger, **options):
        unregistered = [f"UNKNOWN-{uuid4().hex[:8]}"] if unknown_charger else []
        all_ids = [f"{name}-{n}" if n > 1 else name for name in charger_ids for n in range(1, count + 1)]
        all_ids += unregistered
        if not all_ids:
            raise CommandError("Name a charger, such as 505, or use --unknown-charger.")
        if not options["url"].startswith(("ws://", "wss://")):
            raise CommandError(f"--url must begin with ws:// or wss://, but it is {options['url']}.")
        simulation = Options(**{name: options[name] for name in NAMES} | (QUICK if once else {}))
        simulation.quirks = tuple(simulation.quirks)
        IdTag.objects.get_or_create(id_tag=options["id_tag"], defaults={"description": "Of the simulated chargers"})
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
