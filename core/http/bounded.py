"""Requests to other servers whose answers have a largest length and a longest duration."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests

CHUNK = 8192  # bytes


@dataclass(frozen=True)
class Limits:
    """`timeouts_s` are those to connect and for each part of the answer; `duration_s` is for all parts."""

    timeouts_s: tuple[float, float]
    duration_s: float
    length: int = 64 * 1024  # bytes


def post(session: requests.Session, url: str, body: bytes, headers: Mapping[str, str], limits: Limits) -> bytes:
    """POST `body`, and return that of the answer with the status 200. Redirects are not followed.

    Raise `ValueError` for another status and for an answer beyond `limits`, or the exceptions of `session`.
    """
    ends_at = time.monotonic() + limits.duration_s
    timeouts_s, received = limits.timeouts_s, bytearray()
    with session.post(
        url, data=body, headers=headers, timeout=timeouts_s, stream=True, allow_redirects=False
    ) as answer:
        if answer.status_code != 200:
            raise ValueError(f"it answered with status {answer.status_code}")
        for part in answer.iter_content(CHUNK):
            received += part
            if len(received) > limits.length or time.monotonic() > ends_at:
                raise ValueError("its answer is too long or too slow")
    return bytes(received)
