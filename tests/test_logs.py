"""LOG_FORMAT: what a line of the log is, and that nothing but what is meant for it gets there."""

import json
import logging
import sys

import pytest

from chargers import context
from config.logs import FIELDS, Json, Known
from tests.config.test_settings import check
from tests.live import an_id, eventually


def logged(message, error=None, **extra):
    """The object that a record becomes."""
    record = logging.getLogger("chargers").makeRecord(
        "chargers", logging.INFO, __file__, 1, message, (), error, extra=extra
    )
    assert Known().filter(record)
    return json.loads(Json().format(record))


def test_a_record_is_an_object_with_what_it_is_about():
    with context.about(charger="505", task="t1"):
        said = logged('505: "hello"\nworld')
    assert said.pop("timestamp").endswith("+00:00")
    assert said == {"level": "INFO", "logger": "chargers", "message": '505: "hello"\nworld'} | {
        "charger_id": "505",
        "task_id": "t1",
    }


def test_what_is_not_known_is_left_out():
    assert logged("hello").keys() == {"timestamp", "level", "logger", "message"}


def test_what_libraries_attach_stays_out_but_for_the_task():
    said = logged("Task succeeded", data={"id": "t1", "args": "['secret']"}, request="secret")
    assert said["task_id"] == "t1" and "secret" not in str(said)


def test_an_exception_is_told_with_its_trace():
    try:
        raise ValueError("no")
    except ValueError:
        said = logged("It failed", sys.exc_info())
    assert said["exception"].startswith("Traceback") and said["exception"].endswith("ValueError: no")


def test_another_form_is_refused():
    code, said = check(LOG_FORMAT="xml")
    assert code != 0 and "LOG_FORMAT" in said


def lines(live, name):
    """Of the log of a program, since it was started."""
    child = next(child for child in live.stack.children if child.name == name)
    return child.log.read_bytes()[child.logged_at_start :].decode().splitlines()


@pytest.mark.parametrize("name", ["web 1", "web 2", "beat"])
def test_every_line_of_a_program_is_an_object(live, name):
    assert all(json.loads(line).keys() <= set(FIELDS) for line in lines(live, name))


def test_a_line_tells_its_charger_and_its_task(live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        task_id = live.ask(charger_id, "ClearCache", {})["task_id"]
        eventually(lambda: any(task_id in line and '"task_id"' in line for line in lines(live, "worker 1")))
    web = [json.loads(line) for n in (1, 2) for line in lines(live, f"web {n}") if charger_id in line]
    assert web and all(line["charger_id"] == charger_id for line in web)
