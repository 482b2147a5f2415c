"""Measure how late the event loop of a web process runs callbacks, which delays all its chargers."""

import asyncio

from chargers.metrics import event_loop_lag

INTERVAL_S = 0.5  # between two measurements


def watch():
    """Start to measure the running event loop."""
    _schedule(asyncio.get_running_loop())


def _schedule(loop):
    loop.call_later(INTERVAL_S, _measure, loop, loop.time() + INTERVAL_S)


def _measure(loop, expected):
    event_loop_lag.observe(max(0.0, loop.time() - expected))
    _schedule(loop)
