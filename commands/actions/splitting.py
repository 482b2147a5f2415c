"""Split lists that are too long for one message of a charger."""

from typing import Any

import orjson


def split(items: list[Any], most_items: int, most_bytes: int | None) -> list[list[Any]]:
    """Return `items` in lists that have at most `most_items`, and `most_bytes` of JSON unless that is None.

    A single item that exceeds the bytes is a list of its own.
    """
    lists: list[list[Any]] = []
    left = 0
    for item in items:
        length = size(item) + 1  # with a comma
        if not lists or len(lists[-1]) >= most_items or (most_bytes is not None and length > left):
            lists.append([])
            left = most_bytes or 0
        lists[-1].append(item)
        left -= length
    return lists


def size(value: object) -> int:
    """Return the number of bytes of `value` as JSON."""
    return len(orjson.dumps(value))
