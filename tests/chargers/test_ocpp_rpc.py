"""A client that others have written: npm ocpp-rpc, which checks every message of OCPP 2.0.1 against its schema."""

import os
import subprocess

import pytest

from tests.support.live import an_id, eventually, until_connected
from tests.support.station import TAG, with_tags
from tools.bench.servers import install_ocpp_rpc
from tools.stack.stack import PROJECT

SCRIPT = PROJECT / "tests" / "support" / "ocpp_rpc_charger.js"
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}


@pytest.fixture(scope="module")
def packages():
    """The folder with the packages of npm."""
    run_dir = PROJECT / ".run"
    if not install_ocpp_rpc(run_dir):
        pytest.skip("npm ocpp-rpc cannot be installed: there is no node, no npm, or no access to the registry")
    return run_dir / "ocpp-rpc" / "node_modules"


def test_a_strict_charger_boots_authorizes_charges_and_answers_commands(live, packages):
    with_tags(live)
    charger_id = live.strict(an_id())
    command = ["node", str(SCRIPT), live.ws_url, charger_id, TAG]
    env = os.environ | {"NODE_PATH": str(packages)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as node:
        try:
            until_connected(live, charger_id)
            path = f"/api/ocpp/transactions/?charger_id={charger_id}"
            (ongoing,) = eventually(lambda: live.get(f"{path}&status=Ongoing")["transaction_logs"])
            read = live.finished(live.ask(charger_id, "GetVariables", {"getVariableData": [VARIABLE]}))
            assert read["response"]["getVariableResult"][0]["attributeValue"] == "300"
            stop = live.ask(charger_id, "RequestStopTransaction", {"transactionId": ongoing["reference"]})
            assert live.finished(stop)["response"] == {"status": "Accepted"}
            (ended,) = eventually(lambda: live.get(f"{path}&status=Completed")["transaction_logs"])
            assert live.finished(live.ask(charger_id, "Reset", {"type": "Immediate"}))["outcome"] == "answered"
            assert (node.wait(20), node.stderr.read()) == (0, "")
        finally:
            node.kill()
    assert (ended["energy_wh"], ended["stop_reason"], ended["id_tag"]) == (2000, "Remote", TAG)
