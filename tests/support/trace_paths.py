"""Print which functions of the project a StartTransaction passes, and a command from POST to answer, as JSON.

The lists have [file, function] in the order of the first call, without comprehensions and lambdas.
"""

import json
import sys
import threading
import time
import urllib.request

from tools.stack.stack import PROJECT

ROOT = f"{PROJECT}/"
LEFT_OUT = (f"{ROOT}.", f"{ROOT}tests/")  # .venv and .run
passed: dict[tuple[str, str], None] = {}
is_on = False


def _note(frame, event, argument):
    path, name = frame.f_code.co_filename, frame.f_code.co_name
    is_ours = path.startswith(ROOT) and not path.startswith(LEFT_OUT) and not name.startswith("<")
    if is_on and event == "call" and is_ours:
        passed.setdefault((path.removeprefix(ROOT), name))


threading.setprofile(_note)

from tests.support.in_process import answer, connected, web  # noqa: E402


def traced(function):
    """Return the functions that are passed while `function` runs."""
    global is_on
    time.sleep(0.5)  # in which threads finish the step before
    passed.clear()
    is_on = True
    function()
    is_on = False
    return list(passed)


def start(call, connector):
    payload = {"connectorId": connector, "idTag": "ABC", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
    assert call("StartTransaction", payload)[0] == 3


def command(url, charger, charger_socket):
    body = json.dumps({"charger_id": charger.identity, "action": "Reset", "payload": {"type": "Soft"}}).encode()
    base = url.replace("ws://", "http://").removesuffix("/ws/ocpp") + "/api/ocpp"
    with urllib.request.urlopen(
        urllib.request.Request(f"{base}/commands/", body, {"Content-Type": "application/json"})
    ) as response:
        task_id = json.load(response)["task_id"]
    answer(task_id, charger_socket, {"status": "Accepted"})
    with urllib.request.urlopen(f"{base}/tasks/{task_id}/") as response:
        assert json.load(response)["outcome"] == "answered"


with web() as url, connected(url, "ocpp1.6") as (charger, call, charger_socket):
    call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    start(call, 1)  # once before, since the first call of some functions imports modules
    command(url, charger, charger_socket)
    message = traced(lambda: start(call, 2))
    json.dump({"message": message, "command": traced(lambda: command(url, charger, charger_socket))}, sys.stdout)
