"""Let a step fail without failing the transaction that it belongs to."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from django.db import transaction

from core.db import faults

logger = logging.getLogger(__name__)
P = ParamSpec("P")


def logs_failure(step: Callable[P, None]) -> Callable[P, None]:
    """Let the decorated step fail without failing the message: log its exception and undo only its changes."""

    @wraps(step)
    def guarded(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            with transaction.atomic():
                step(*arguments, **options)
        except Exception as error:  # noqa: BLE001  (earlier data of a charger must not make this message fail)
            if faults.kind_of(error):
                raise
            logger.exception("%s.%s failed. The message is stored.", step.__module__, step.__qualname__)

    return guarded
