"""Try an operation again, with a pause after each attempt, while it fails by a fault that passes by itself."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Result = TypeVar("Result")


def growing_delays_s(first_s: float, max_s: float) -> Iterator[float]:
    """Yield `first_s` and then the double of the former delay, at most `max_s`, without end."""
    delay_s = first_s
    while True:
        yield min(delay_s, max_s)
        delay_s = min(2 * delay_s, max_s)


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
