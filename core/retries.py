"""Try an operation again, with a pause after each attempt, while it fails by a fault that passes by itself."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TypeVar

Result = TypeVar("Result")


def growing_delay_s(first_s: float, max_s: float, attempts: int) -> float:
    """Return the delay after so many earlier attempts: `first_s`, doubled for each of them, at most `max_s`."""
    return min(first_s * 2.0 ** min(attempts, 30), max_s)


def growing_delays_s(first_s: float, max_s: float) -> Iterator[float]:
    """Yield the delays after the first attempt, the second one and so on, without end."""
    return (growing_delay_s(first_s, max_s, attempts) for attempts in count())


def retry(
    operation: Callable[[], Result],
    passes: Callable[[Exception], object],
    delays_s: Iterable[float],
    report: Callable[[Exception], object],
) -> Result:
    """Return `operation()`. After an exception for which `passes` is true, call it again.

    There is one more attempt for each of `delays_s`, after which the exception is raised. `report` is called with
    each exception after which the operation is tried again.
    """
    for delay_s in delays_s:
        try:
            return operation()
        except Exception as error:  # noqa: BLE001  (`passes` decides)
            if not passes(error):
                raise
            report(error)
        time.sleep(delay_s)
    return operation()
