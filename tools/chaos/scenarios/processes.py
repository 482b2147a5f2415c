"""Faults of processes: killed, stopped, or ended by SIGTERM."""

import asyncio
import contextlib
import os
import shutil
import signal
import time

# Longer than what it is waited for with: presence and pings 40 s, a lease 12 s, Redis 5 to 15 s, the pool 5 s.
STOPPED = {"web": 50, "worker": 30, "Redis": 25, "PostgreSQL": 25}
GOING_AWAY = 1012


async def worker_killed(chaos):
    """While it waits for chargers that take two seconds to answer."""
    slow = [c.identity for c in chaos.fleet.chargers.values() if c.manner == "slow"]
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
            lost = sum(at > began for c in chaos.fleet.chargers.values() for at, _ in c.records.closed)
            chaos.note("sockets lost", lost)
            chaos.must_be_none("processes without a socket", int(not lost))

    return scenario


async def redis_wiped(chaos):
    """Its data goes with it, as on a machine without a disk."""
    with chaos.stack.left_dead():
        chaos.stack.signal("Redis", signal.SIGKILL).wait(30)
        for path in (chaos.stack.run_dir / "redis").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


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
        """Send SIGTERM, as a deploy does; sockets are closed with 1012 (service restart)."""
        began = time.monotonic()
        await asyncio.to_thread(chaos.stack.signal(name, signal.SIGTERM).wait, 30)
        await asyncio.sleep(1)
        if name == "web":
            codes = [code for c in chaos.fleet.chargers.values() for at, code in c.records.closed if at > began]
            chaos.note(f"sockets closed with {GOING_AWAY}", codes.count(GOING_AWAY))
            chaos.must_be_none("sockets closed otherwise", len(codes) - codes.count(GOING_AWAY))
            chaos.must_be_none("processes that closed no socket", int(not codes))

    return scenario


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
    "a web process ended by SIGTERM": deployed("web"),
    "a worker ended by SIGTERM": deployed("worker"),
}
