"""A background writer writes what is queued, waits for the database, and goes on after an error."""

import threading

import pytest
from django.db import OperationalError

from core import background
from core.background import FAULT, TOO_MANY, BackgroundWriter
from core.retries import growing_delays_s, retry
from tests.support.live import eventually


@pytest.fixture
def written():
    return []


def a_writer(write, **options):
    return BackgroundWriter("test", write, **{"interval_s": 0.0, "max_queued": 100, "max_batch": 100} | options)


def test_items_are_written_in_order_in_batches_of_limited_size(written):
    writer = a_writer(written.append, interval_s=0.2, max_batch=2)
    writer.put(1)
    writer.put(2, 3)
    eventually(lambda: writer.written == 3)
    assert written == [[1, 2], [3]] and writer.lost == 0


def test_items_that_find_no_room_are_lost_and_counted(written):
    may_write, lost = threading.Event(), []

    def write(batch):
        may_write.wait(20)
        written.extend(batch)

    writer = a_writer(write, max_queued=3, count_lost=lambda *loss: lost.append(loss))
    writer.put(0)
    eventually(lambda: not writer.queue)
    writer.put(1, 2)
    writer.put(3, 4, 5)
    writer.put(6)
    may_write.set()
    eventually(lambda: writer.written == 4)
    assert written == [0, 1, 2, 3]
    assert lost == [(TOO_MANY, 2), (TOO_MANY, 1)] and writer.lost == 3


def test_a_batch_is_prepared_once_and_written_until_the_database_is_available(written, monkeypatch):
    monkeypatch.setattr(background, "RETRY_DELAY_S", 0.01)
    failures, prepared = [OperationalError("the connection is closed")] * 2, []

    def write(batch):
        if failures:
            raise failures.pop()
        written.extend(batch)

    writer = a_writer(write, prepare=lambda batch: prepared.append(1) or [f"item {item}" for item in batch])
    writer.put(1)
    eventually(lambda: writer.written == 1)
    assert written == ["item 1"] and len(prepared) == 1


def test_a_batch_that_fails_otherwise_is_lost_and_the_next_one_is_written(written):
    lost = []

    def write(batch):
        if batch == ["bad"]:
            raise ValueError("this item cannot be written")
        written.extend(batch)

    writer = a_writer(write, count_lost=lambda *loss: lost.append(loss))
    writer.put("bad")
    eventually(lambda: lost == [(FAULT, 1)])
    writer.put("good")
    eventually(lambda: written == ["good"])


def test_an_operation_is_tried_again_after_each_delay_and_then_fails():
    attempts, reported = [], []

    def operation():
        attempts.append(1)
        raise OSError(len(attempts))

    with pytest.raises(OSError, match="3"):
        retry(operation, lambda error: isinstance(error, OSError), [0.0, 0.0], reported.append)
    assert [str(error) for error in reported] == ["1", "2"]
    with pytest.raises(OSError, match="4"):
        retry(operation, lambda error: False, [0.0, 0.0], reported.append)


def test_delays_double_up_to_their_limit():
    delays_s = growing_delays_s(0.5, 3)
    assert [next(delays_s) for _ in range(5)] == [0.5, 1, 2, 3, 3]
