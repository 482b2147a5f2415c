"""How late the event loop of a web process is: what its chargers wait, whatever they say."""

import asyncio

from chargers.metrics import event_loop_lag

INTERVAL = 0.5  # seconds between two looks


def watch():
    """Look at the running event loop from now on."""
    _look_again(asyncio.get_running_loop())


def _look_again(loop):
    loop.call_later(INTERVAL, _look, loop, loop.time() + INTERVAL)


def _look(loop, expected):
    event_loop_lag.observe(max(0.0, loop.time() - expected))
    _look_again(loop)
