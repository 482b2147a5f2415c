"""Wall clocks that step, as a machine's do when somebody sets them; the monotonic ones go on."""

import asyncio
import random

from chaos.clocks import Clocks
from chaos.scenarios.skipping import Skipped

HOUR = 3600
STEPS = (("web", HOUR), ("web", -HOUR), ("worker", HOUR), ("worker", -HOUR))
STAYS = 10  # seconds for which a clock is wrong


async def clocks_step(chaos):
    """That of the web processes, then that of the workers, an hour ahead and an hour back; chargers come again."""
    if not Clocks.are_possible():
        raise Skipped("It needs a C compiler named cc (Debian: apt-get install gcc libc6-dev).")
    clocks = chaos.stack.own_clocks()
    await asyncio.sleep(1)  # until those that were told to end have ended
    await chaos.is_served()
    await asyncio.sleep(10)  # a process that has just begun is slow
    chaos.fleet.clock_error = 0.0
    chaos.fault_begins()
    try:
        for role, seconds in STEPS:
            clocks.step(role, seconds)
            for charger in random.sample(chaos.steady, len(chaos.steady) // 3):
                chaos.strike([charger])
                charger.drop()
            await asyncio.sleep(STAYS)
            clocks.step(role, 0)
    finally:
        clocks.set_right()
    chaos.note("the time that chargers were told was wrong by up to (s)", round(chaos.fleet.clock_error))
    chaos.must_be_none("clocks that did not step", int(chaos.fleet.clock_error < HOUR - STAYS))


SCENARIOS = {"clocks step by an hour, forth and back": clocks_step}
