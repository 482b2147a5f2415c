"""Note when known id tokens were last presented for authorization.

A thread of the process writes the times, so that an Authorize costs no statement more. A process that ends loses the
times of the last `INTERVAL_S`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from core.background import BackgroundWriter
from core.db import bulk_sql
from transactions import sql

INTERVAL_S = 0.5  # in this time authorizations collect
MAX_WAITING = 10_000  # authorizations that are not written yet; further ones are not noted


class Authorization(NamedTuple):
    """A charger has requested `at` this time the verdict on a token, `tag` is its primary key."""

    tag: int
    at: datetime


def write(authorizations: Iterable[Authorization]) -> None:
    """Store the latest time of each token, in one order for all processes."""
    latest: dict[int, datetime] = {}
    for tag, at in authorizations:
        latest[tag] = max(at, latest.get(tag, at))
    bulk_sql.execute(sql.NOTE_AUTHORIZATIONS, [{"id": tag, "at": latest[tag]} for tag in sorted(latest)])


writer = BackgroundWriter[Authorization](
    "authorizations", write, interval_s=INTERVAL_S, max_queued=MAX_WAITING, max_batch=MAX_WAITING
)
