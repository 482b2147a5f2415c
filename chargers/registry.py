"""The registry of handlers by action. The apps register their handlers here, and the inbox looks them up.

A handler takes a batch of `chargers.inbox.Call`, from many chargers, within one transaction. It returns one answer
per call, in order: the payload of the CALLRESULT, or a `frames.CallError` to refuse that call.
"""

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import wraps

from django.db import transaction

from core.db import faults

logger = logging.getLogger(__name__)

actions: dict[str, Callable] = {}
hooks: dict[str, Callable] = {}
followers: dict[str, list[Callable]] = defaultdict(list)


def handles(action):
    """Register the decorated batch function for an OCPP action."""
    return _into(actions, action)


def logs_failure(follower):
    """Let the decorated follower fail without failing the message: log its exception and undo only its changes."""

    @wraps(follower)
    def guarded(calls, *answers):
        try:
            with transaction.atomic():
                follower(calls, *answers)
        except Exception as error:  # noqa: BLE001  (earlier data of a charger must not make this message fail)
            if faults.kind_of(error):
                raise
            logger.exception("%s failed after %s. The message is stored.", follower.__qualname__, calls[0].action)

    return guarded


def follows(action):
    """Register the decorated `function(calls, answers)` to run after the handler, in the same transaction."""

    def register(function):
        followers[action].append(function)
        return function

    return register


def hook(name):
    """Register a function of an app above under `name`, for use by this app.

    `claim` claims a command before its CALL is written, `late_reply` stores a reply whose task has ended, `refused`
    stores a refused message about a transaction, `triggered` returns which calls a TriggerMessage has requested, and
    `certificate_owner` returns the charger of a certificate that was signed here.
    """
    return _into(hooks, name)


def _into(table, name):
    def register(function):
        if name in table:
            raise ValueError(f"{name} is already handled by {table[name].__module__}.{table[name].__name__}")
        table[name] = function
        return function

    return register
