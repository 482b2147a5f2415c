"""The simulated charger of OCPP 2.0.1: its answers by themselves, and its sessions against the running product."""

import asyncio

import pytest

from commands.actions.ocpp201.table import ACTIONS
from core.ocpp.versions import OCPP201
from tests.support.live import an_id, eventually, until_connected
from tests.support.requests201 import REQUESTS, asked
from tools.simulator.answers201 import ANSWERS
from tools.simulator.charger import Options, SimulatedCharger
from tools.simulator.vendors import VENDORS

# Commands whose results arrive later: the messages that bring them.
LATER = {
    "CustomerInformation": "NotifyCustomerInformation",
    "GetBaseReport": "NotifyReport",
    "GetChargingProfiles": "ReportChargingProfiles",
    "GetDisplayMessages": "NotifyDisplayMessages",
    "GetLog": "LogStatusNotification",
    "GetMonitoringReport": "NotifyMonitoringReport",
    "GetReport": "NotifyReport",
    "PublishFirmware": "PublishFirmwareStatusNotification",
    "RequestStartTransaction": "TransactionEvent",
    "ReserveNow": "StatusNotification",
    "SetVariableMonitoring": "NotifyEvent",
    "UpdateFirmware": "FirmwareStatusNotification",
}
# What must be set before there is anything to deliver.
BEFORE = {
    "GetChargingProfiles": ["SetChargingProfile"],
    "GetDisplayMessages": ["SetDisplayMessage"],
    "GetMonitoringReport": ["SetVariableMonitoring"],
}
TRIGGERS = OCPP201.schemas.requests["TriggerMessage"].resolved["properties"]["requestedMessage"]["enum"]


class Unconnected(SimulatedCharger):
    """A charger without a connection. `sent` has the CALLs that it would send, each of which is checked."""

    def __init__(self, **options):
        super().__init__("SIM", Options(ocpp="2.0.1", **options))
        self.sent = []

    def post(self, action, payload):
        OCPP201.schemas.check_request(action, payload, formats=True)
        self.sent.append((action, payload))
        return super().post(action, payload)

    async def call(self, action, payload):
        self.post(action, payload)
        return {}

    def command(self, action, payload=None):
        """The answer to a command, which is checked."""
        payload = REQUESTS[action] if payload is None else payload
        OCPP201.schemas.check_request(action, payload)
        answer = self.answer_to(action, payload)
        OCPP201.schemas.check_response(action, answer, formats=True)
        return answer

    def messages_of(self, action):
        return [payload for name, payload in self.sent if name == action]


def with_charger(scenario, **options):
    """Run the coroutine function `scenario` of a charger."""

    async def run():
        charger = Unconnected(**options)
        for connector in charger.connectors.values():
            await charger.report_status(connector, "Available")
        return await scenario(charger)

    return asyncio.run(run())


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_every_command_of_the_table_is_answered():
    assert REQUESTS.keys() == ANSWERS.keys() and ACTIONS.keys() <= ANSWERS.keys() and len(ANSWERS) == 40


@pytest.mark.parametrize("action", sorted(REQUESTS))
def test_an_answer_conforms_to_its_schema(action):
    async def scenario(charger):
        return charger.command(action)

    assert with_charger(scenario) is not None


@pytest.mark.parametrize("action", sorted(LATER))
def test_the_later_messages_of_a_command_conform_to_their_schemas(action):
    async def scenario(charger):
        for other in BEFORE.get(action, []):
            charger.command(other)
        charger.command(action)
        await until(lambda: charger.messages_of(LATER[action]))

    with_charger(scenario)


@pytest.mark.parametrize("wanted", TRIGGERS)
def test_every_message_can_be_triggered(wanted):
    async def scenario(charger):
        connector = charger.connectors[1]
        await charger.messages.start(connector, "TAG", None)
        charger.sent.clear()
        assert charger.command("TriggerMessage", {"requestedMessage": wanted}) == {"status": "Accepted"}
        expected = "SignCertificate" if wanted.startswith("Sign") else wanted
        await until(lambda: charger.messages_of(expected))

    with_charger(scenario)


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_session_without_a_connection_is_queued_as_events_with_rising_numbers(vendor):
    async def scenario(charger):
        await charger.session(charger.connectors[1], "TAG")
        return charger.messages_of("TransactionEvent")

    events = with_charger(scenario, vendor=vendor, sample_interval=0.01, samples=3)
    assert [event["seqNo"] for event in events] == list(range(len(events)))
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("Started", "Ended")
    assert all(event["offline"] for event in events)
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1


def test_a_report_is_sent_in_parts():
    async def scenario(charger):
        charger.command("GetBaseReport")
        await until(lambda: charger.messages_of("NotifyReport"))
        await until(lambda: "tbc" not in charger.messages_of("NotifyReport")[-1])
        return charger.messages_of("NotifyReport")

    parts = with_charger(scenario)
    assert [part["seqNo"] for part in parts] == list(range(len(parts))) and len(parts) > 2


def test_what_is_set_is_read_and_what_is_installed_is_deleted():
    async def scenario(charger):
        assert charger.command("SetVariables")["setVariableResult"][0]["attributeStatus"] == "Accepted"
        read, unknown = charger.command("GetVariables")["getVariableResult"]
        assert (read["attributeValue"], unknown["attributeStatus"]) == ("60", "UnknownComponent")
        charger.command("InstallCertificate")
        (chain,) = charger.command("GetInstalledCertificateIds")["certificateHashDataChain"]
        asked = {"certificateHashData": chain["certificateHashData"]}
        assert charger.command("DeleteCertificate", asked) == {"status": "Accepted"}
        assert charger.command("GetInstalledCertificateIds") == {"status": "NotFound"}

    with_charger(scenario)


# --- against the running product ---------------------------------------------------------------


def test_a_simulated_charger_answers_every_command(live):
    charger_id = live.strict(an_id())
    with live.simulated(charger_id, "--ocpp", "2.0.1", "--pause", "600"):
        until_connected(live, charger_id)
        for action in [name for name in ACTIONS if name != "Reset"] + ["Reset"]:
            task = live.finished(live.ask(charger_id, action, asked(action), timeout=10))
            assert (task["outcome"], task["simulated"]) == ("answered", False), task


def test_a_session_of_a_simulated_charger_is_stored(live):
    charger_id = live.strict(an_id())
    with live.simulated(charger_id, "--ocpp", "2.0.1", "--once") as process:
        said, _ = process.communicate(timeout=60)
    assert "Every charger had its session." in said and "was refused" not in said
    (log,) = live.get(f"/api/ocpp/transactions/{charger_id}/")["transaction_logs"]
    assert (log["status"], log["stop_reason"]) == ("Completed", "EVDisconnected")
    assert log["energy_wh"] > 0


def test_a_session_goes_on_while_the_connection_is_lost(live):
    charger_id = live.strict(an_id())
    with live.simulated(charger_id, "--ocpp", "2.0.1", "--pause", "0.2", "--sample-interval", "0.2"):
        path = f"/api/ocpp/transactions/{charger_id}/?status="
        eventually(lambda: live.get(f"{path}Ongoing").get("count"), 60)
        with live.socket(charger_id, subprotocols=["ocpp2.0.1"]):  # takes the simulated charger's place, for a moment
            pass
        stopped = eventually(lambda: live.get(f"{path}Completed")["transaction_logs"], 60)
    number = stopped[-1]["transaction_id"]
    events = live.get(f"/api/ocpp/transactions/{charger_id}/{number}/events/?page_size=100")["results"]
    numbers = sorted(event["seq_no"] for event in events)
    assert numbers == list(range(len(numbers))) and any(event["offline"] for event in events)
