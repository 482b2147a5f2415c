"""Run functions that read the database for the event loop, in a few threads of their own.

`sync_to_async` has one thread for a whole process, so that a long query would delay every short one.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import wraps

from asgiref.sync import sync_to_async
from django.db import connection

MAX_THREADS = 16
_threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="db")


def in_db_thread(function):
    """Make `function` awaitable. Its database connection is released afterwards."""

    @wraps(function)
    def run(*args):
        try:
            return function(*args)
        finally:
            connection.close()

    return sync_to_async(run, thread_sensitive=False, executor=_threads)
