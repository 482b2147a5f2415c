"""Ask other servers for what a message needs, in threads, before its handler runs.

A handler runs in the transaction of a batch and must not wait for a network, because all chargers would wait. So the
socket asks first, and hands the result to the handler with the call. Only this charger waits meanwhile.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from django.db import connection

from chargers.services import budgets
from core.ocpp.calls import Call
from gateway.common import Lookup

logger = logging.getLogger(__name__)

MAX_CONCURRENT = 16  # of one process
TIMEOUT_S = 20  # including the time in the queue; a charger waits 30 s for its answer (part 4, §4.1.3)
BUDGET = "certificate_checks"

_threads = ThreadPoolExecutor(MAX_CONCURRENT, "lookup")


class _Asked(NamedTuple):
    """A call in the form in which budgets take it."""

    call: Call


async def run(lookup: Lookup, call: Call, charger_id: str) -> Any:
    """Return what the other server says, None if it says nothing in time or the charger has asked too often."""
    if not budgets.within_rate([_Asked(call)], BUDGET):
        return None
    asked = asyncio.get_running_loop().run_in_executor(_threads, _ask, lookup, call, charger_id)
    try:
        return await asyncio.wait_for(asked, TIMEOUT_S)
    except TimeoutError:
        logger.warning("%s: %s waited too long for another server", charger_id, call.action)
        return None


def _ask(lookup: Lookup, call: Call, charger_id: str) -> Any:
    try:
        return lookup.ask(call, charger_id)
    except Exception:  # noqa: BLE001  (the charger gets an answer that says so)
        logger.exception("%s: another server could not be asked for %s", charger_id, call.action)
        return None
    finally:
        connection.close()
