"""Connections that break, and fleets that come back."""

import asyncio
import random
import signal
import time

from tools.chaos.scenarios.processes import standing_still


async def dropped(chaos):
    """Connections are reset, a third of them every second."""
    for _ in range(10):
        chosen = random.sample(chaos.steady, len(chaos.steady) // 3)
        chaos.strike(chosen)
        for charger in chosen:
            charger.drop()
        await asyncio.sleep(1)


async def delayed(chaos):
    """Chargers on a line with a second and a half each way, which then goes dead: they come by another."""
    far = [charger for charger in chaos.steady if charger.url != chaos.fleet.url]
    chaos.strike(far)
    chaos.line.delay = 1.5
    await asyncio.sleep(15)
    chaos.line.dead = True
    for charger in far:
        charger.vanish()
        charger.url = chaos.fleet.url
        charger.come_back()
    await asyncio.sleep(10)
    for charger in far:
        charger.url = chaos.far_url
    chaos.line.delay, chaos.line.dead = 0.0, False


async def doubled(chaos):
    """A second socket while the first lives, again and again."""
    for _ in range(10):
        chosen = random.sample(chaos.steady, len(chaos.steady) // 3)
        chaos.strike(chosen)
        await asyncio.gather(*(charger.connect() for charger in chosen), return_exceptions=True)
        await asyncio.sleep(1)


async def powerless(chaos):
    """Cut the power of the far chargers without closing their connections; they must be shown offline within 60 s."""
    far = [charger for charger in chaos.steady if charger.url != chaos.fleet.url]
    chaos.strike(far)
    chaos.line.dead = True
    for charger in far:
        charger.vanish()
    gone, began = {charger.identity for charger in far}, time.monotonic()
    while time.monotonic() - began < 60:
        active = await asyncio.to_thread(chaos.commanding.active)
        if active is not None and not active & gone:
            break
        await asyncio.sleep(1)
    chaos.note("shown offline after (s)", round(time.monotonic() - began))
    chaos.must_be_none("still shown online after 60 s", len((active or gone) & gone))
    for charger in far:
        charger.come_back()
    chaos.line.dead = False


async def storm(chaos):
    """A whole fleet comes back at once."""
    await chaos.crowd_connected()
    for charger in chaos.crowd:
        charger.drop()
    began = time.monotonic()
    back = lambda: all(c.connection and c.last_answer > began for c in chaos.crowd)  # noqa: E731
    await chaos.must_become("accepted again", back, 120)
    chaos.note(f"{len(chaos.crowd)} chargers accepted again after (s)", round(time.monotonic() - began, 1))


async def batch_writer_filled(chaos):
    """The database stands still while more chargers than a batch writer has places wait, all on one web process."""
    with chaos.stack.left_dead():
        chaos.stack.signal("web 2", signal.SIGTERM).wait(30)
        await chaos.crowd_connected()
        with standing_still(chaos.stack.pids("PostgreSQL")):
            for charger in chaos.crowd:
                charger.go_on()
            await asyncio.sleep(chaos.sizes["stopped"](20))
            chaos.note("messages waiting", chaos.fleet.unanswered)
        await chaos.must_become("answered", lambda: not any(c.waiting for c in chaos.crowd), 60)


SCENARIOS = {
    "connections reset": dropped,
    "connections slow, then dead": delayed,
    "second sockets": doubled,
    "chargers without power": powerless,
    "the whole fleet reconnects": storm,
    "the batch writer filled": batch_writer_filled,
}
