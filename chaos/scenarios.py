"""What is done to the running product: one function each, which returns when the fault is over."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time

# Longer than what it is waited for with: presence and pings 40 s, a lease 12 s, Redis 5 to 15 s, the pool 5 s.
STOPPED = {"web": 50, "worker": 30, "Redis": 25, "PostgreSQL": 25}
GOING_AWAY = 1012


async def worker_killed(chaos):
    """While it waits for chargers that take two seconds to answer."""
    slow = [c.charger_id for c in chaos.fleet.chargers.values() if c.manner == "slow"]
    asked = [await asyncio.to_thread(chaos.commanding.ask, charger_id, "slow") for charger_id in slow]
    waiting = "SELECT count(*) FROM commands_command WHERE state = 'sent' AND task_id = ANY(%s)"
    await chaos.until(lambda: chaos.stack.sql(waiting, [asked])[0][0] > len(slow) // 2, 5)
    chaos.note("commands waited for by two workers", chaos.stack.sql(waiting, [asked])[0][0])
    chaos.stack.signal("worker 1", signal.SIGKILL)


def kill(name):
    async def scenario(chaos):
        began = time.monotonic()
        chaos.stack.signal(name, signal.SIGKILL)
        await asyncio.sleep(0.2)
        if name == "web":
            lost = sum(at > began for c in chaos.fleet.chargers.values() for at, _ in c.books.closed)
            chaos.note("sockets lost", lost)
            chaos.must_be_none("processes without a socket", int(not lost))

    return scenario


async def redis_wiped(chaos):
    """Its data goes with it, as on a machine without a disk."""
    with chaos.stack.left_dead():
        chaos.stack.signal("Redis", signal.SIGKILL).wait(30)
        for kept in (chaos.stack.run_dir / "redis").iterdir():
            shutil.rmtree(kept) if kept.is_dir() else kept.unlink()


async def postgres_immediate(chaos):
    chaos.stack.signal("PostgreSQL", signal.SIGQUIT)


async def everything(chaos):
    """PostgreSQL by SIGQUIT, which is its kill; all others by SIGKILL."""
    chaos.stack.signal("PostgreSQL", signal.SIGQUIT)
    for name in ("Redis", "web", "worker"):
        chaos.stack.signal(name, signal.SIGKILL, every=True)


def stopped(name):
    async def scenario(chaos):
        """SIGSTOP: its connections stay open, and nobody answers."""
        with standing_still(chaos.stack.pids(name)):
            await asyncio.sleep(chaos.sizes["stopped"](STOPPED[name]))

    return scenario


@contextlib.contextmanager
def standing_still(pids):
    try:
        _signal_all(pids, signal.SIGSTOP)
        yield
    finally:
        _signal_all(pids, signal.SIGCONT)


def _signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def deployed(name):
    async def scenario(chaos):
        """SIGTERM, as a deploy does it; sockets are told that the server restarts."""
        began = time.monotonic()
        await asyncio.to_thread(chaos.stack.signal(name, signal.SIGTERM).wait, 30)
        await asyncio.sleep(1)
        if name == "web":
            codes = [code for c in chaos.fleet.chargers.values() for at, code in c.books.closed if at > began]
            chaos.note(f"sockets closed with {GOING_AWAY}", codes.count(GOING_AWAY))
            chaos.must_be_none("sockets closed otherwise", len(codes) - codes.count(GOING_AWAY))
            chaos.must_be_none("processes that closed no socket", int(not codes))

    return scenario


async def dropped(chaos):
    """Connections are reset, a third of them every second."""
    for _ in range(10):
        for charger in random.sample(chaos.steady, len(chaos.steady) // 3):
            charger.drop()
        await asyncio.sleep(1)


async def delayed(chaos):
    """Chargers on a line with a second and a half each way, which then goes dead: they come by another."""
    chaos.line.delay = 1.5
    await asyncio.sleep(15)
    chaos.line.dead = True
    far = [charger for charger in chaos.steady if charger.url != chaos.fleet.url]
    for charger in far:
        charger.vanish()
        charger.url, charger.away = chaos.fleet.url, False
    await asyncio.sleep(10)
    for charger in far:
        charger.url = chaos.far_url
    chaos.line.delay, chaos.line.dead = 0.0, False


async def doubled(chaos):
    """A second socket while the first lives, again and again."""
    for _ in range(10):
        chosen = random.sample(chaos.steady, len(chaos.steady) // 3)
        await asyncio.gather(*(charger.connect() for charger in chosen), return_exceptions=True)
        await asyncio.sleep(1)


async def powerless(chaos):
    """The far ones lose power: no end of their connections is told. They must be shown offline within 60 s."""
    far = [charger for charger in chaos.steady if charger.url != chaos.fleet.url]
    chaos.line.dead = True
    for charger in far:
        charger.vanish()
    gone, began = {charger.charger_id for charger in far}, time.monotonic()
    while time.monotonic() - began < 60:
        active = await asyncio.to_thread(chaos.commanding.active)
        if active is not None and not active & gone:
            break
        await asyncio.sleep(1)
    chaos.note("shown offline after (s)", round(time.monotonic() - began))
    chaos.must_be_none("still shown online after 60 s", len((active or gone) & gone))
    for charger in far:
        charger.away = False
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


async def inbox_filled(chaos):
    """The database stands still while more chargers than an inbox has places wait, all on one web process."""
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
    "a web process killed": kill("web"),
    "a Celery worker killed in mid-wait": worker_killed,
    "Redis killed": kill("Redis"),
    "Redis killed, its data gone": redis_wiped,
    "PostgreSQL shut down at once": postgres_immediate,
    "everything killed at once": everything,
    "a web process stopped for 50 s": stopped("web"),
    "a worker stopped for 30 s": stopped("worker"),
    "Redis stopped for 25 s": stopped("Redis"),
    "PostgreSQL stopped for 25 s": stopped("PostgreSQL"),
    "a web process told to end": deployed("web"),
    "a worker told to end": deployed("worker"),
    "connections reset": dropped,
    "connections slow, then dead": delayed,
    "second sockets": doubled,
    "chargers without power": powerless,
    "the whole fleet reconnects": storm,
    "the inbox filled": inbox_filled,
}
