"""Wall clocks that step, as a machine's do when somebody sets them; the monotonic ones go on."""

import asyncio
import random

from tools.chaos.clocks import Clocks
from tools.chaos.scenarios.skipping import Skipped

HOUR = 3600
STEPS = (("web", HOUR), ("web", -HOUR), ("worker", HOUR), ("worker", -HOUR))
STAYS = 10  # seconds for which a clock is wrong at least
ENDS = 30  # seconds after that within which a command with a timeout of 2 s must have ended


async def clocks_step(chaos):
    """That of the web processes, then that of the workers, an hour ahead and an hour back; chargers reconnect."""
    if not Clocks.are_possible():
        raise Skipped("It needs a C compiler named cc (Debian: apt-get install gcc libc6-dev).")
    clocks = chaos.stack.own_clocks()
    await asyncio.sleep(1)  # until the processes that got SIGTERM have ended
    await chaos.is_served()
    await asyncio.sleep(10)  # a process that has just begun is slow
    chaos.fleet.clock_error = 0.0
    chaos.fault_begins()
    try:
        for role, seconds in STEPS:
            asked = [await _ask_silent(chaos)]
            clocks.step(role, seconds)
            asked.append(await _ask_silent(chaos))
            for charger in random.sample(chaos.steady, len(chaos.steady) // 3):
                chaos.strike([charger])
                charger.drop()
            await asyncio.sleep(STAYS)
            unfinished = await _unfinished(chaos, asked)
            chaos.must_be_none(
                f"commands that did not end while the clock of {role} was off by {seconds} s", unfinished
            )
            clocks.step(role, 0)
    finally:
        clocks.set_right()
    chaos.note("the time in answers to chargers was wrong by up to (s)", round(chaos.fleet.clock_error))
    chaos.must_be_none("clocks that did not step", int(chaos.fleet.clock_error < HOUR - STAYS))


async def _ask_silent(chaos):
    """The task id of a command whose end its charger won't tell."""
    silent = random.choice([c for c in chaos.fleet.chargers.values() if c.manner == "silent"])
    return await asyncio.to_thread(chaos.commanding.ask, silent.identity, "silent")


async def _unfinished(chaos, asked):
    """How many of these commands have not ended after ENDS seconds more."""
    count = "SELECT count(*) FROM commands_command WHERE state <> 'finished' AND task_id = ANY(%s)"
    await chaos.until(lambda: not chaos.stack.sql(count, [asked])[0][0], ENDS)
    return chaos.stack.sql(count, [asked])[0][0]


SCENARIOS = {"clocks step by an hour, forth and back": clocks_step}
