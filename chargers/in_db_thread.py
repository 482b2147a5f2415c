"""What is done in the event loop, but reads the database: in a few threads of its own.

`sync_to_async` has one thread for all of a process: a long read would hold up every short one.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import wraps

from asgiref.sync import sync_to_async
from django.db import connection

THREADS = 16
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="aside")


def in_db_thread(function):
    """`function` to be awaited; its database connection is free afterwards."""

    @wraps(function)
    def run(*args):
        try:
            return function(*args)
        finally:
            connection.close()

    return sync_to_async(run, thread_sensitive=False, executor=_threads)
