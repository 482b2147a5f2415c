"""Request from other servers what a message needs, in threads, before its handler runs.

A handler runs in the transaction of a batch and must not wait for a network, because all chargers would wait. So the
socket waits first, and hands the result to the handler with the call. Only this charger waits meanwhile.
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


class _Budgeted(NamedTuple):
    """A call in the form in which budgets take it."""

    call: Call


async def run(lookup: Lookup, call: Call, charger_id: str) -> Any:
    """Return the answer of the other server, None without one in time or above the budget of the charger."""
    if not budgets.within_rate([_Budgeted(call)], BUDGET):
        return None
    request = asyncio.get_running_loop().run_in_executor(_threads, _request, lookup, call, charger_id)
    try:
        return await asyncio.wait_for(request, TIMEOUT_S)
    except TimeoutError:
        logger.warning("%s: %s waited too long for another server", charger_id, call.action)
        return None


def _request(lookup: Lookup, call: Call, charger_id: str) -> Any:
    try:
        return lookup.request(call, charger_id)
    except Exception:  # noqa: BLE001  (the charger gets an answer that says so)
        logger.exception("%s: the request to another server for %s failed", charger_id, call.action)
        return None
    finally:
        connection.close()
