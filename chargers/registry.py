"""Which function settles which action: the apps register theirs here, the inbox looks them up.

A handler takes a batch of `chargers.inbox.Call`, from many chargers, within one transaction, and returns
one answer a call, in order: the CALLRESULT's payload, or a `frames.CallError` to refuse that one.
"""

import logging
from collections import defaultdict
from functools import wraps

from django.db import transaction

from chargers import faults

logger = logging.getLogger(__name__)

actions = {}
hooks = {}
followers = defaultdict(list)


def handles(action):
    """Register the decorated batch function for an OCPP action."""
    return _into(actions, action)


def spoils_nothing(follow):
    """Make a follower that only keeps books beside the message: what it can't do is logged, the message stands."""

    @wraps(follow)
    def careful(calls, *told):
        try:
            with transaction.atomic():
                follow(calls, *told)
        except Exception as error:  # noqa: BLE001  (whatever chargers told before must not cost them this message)
            if faults.kind_of(error):
                raise
            logger.exception("%s failed after %s", follow.__qualname__, calls[0].action)

    return careful


def follows(action):
    """Register the decorated `function(calls, answers)`: what an app above does in the same transaction, after."""

    def register(function):
        followers[action].append(function)
        return function

    return register


def hook(name):
    """Register what an app above does for the socket: `claim` (may this CALL be written?), `late_reply`,
    `triggered` (was this CALL asked for?)."""
    return _into(hooks, name)


def _into(table, name):
    def register(function):
        if name in table:
            raise ValueError(f"{name} is already handled by {table[name].__module__}.{table[name].__name__}")
        table[name] = function
        return function

    return register
