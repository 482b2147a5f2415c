"""Run functions that read the database for the event loop, in a few threads of their own.

`sync_to_async` has one thread for a whole process, so that a long query would delay every short one.
"""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

P = ParamSpec("P")
R = TypeVar("R")

MAX_THREADS = 16
_threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="db")


def in_db_thread(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Make `function` awaitable. Its database connection is released afterwards."""

    @wraps(function)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return function(*arguments, **options)
        finally:
            connection.close()

    return sync_to_async(run, thread_sensitive=False, executor=_threads)
