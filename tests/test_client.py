"""The REST client against the running system."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import pytest

from tests.support.live import an_id, eventually
from tools.client import Client, NotInTime, Refused, Task, Unreachable

TOKEN = "a-token-nobody-may-see"


@pytest.fixture
def client(live):
    return Client(live.url, token=TOKEN)


def test_a_command_gets_the_answer_of_its_charger(live, client):
    with live.charger(an_id(), Reset={"status": "Rejected"}) as charger:
        outcome = client.command(charger.identity, "Reset", type="Soft").wait(30)
    assert (outcome.answered, outcome.is_simulated, outcome.status) == (True, False, "Rejected")
    assert outcome.response == {"status": "Rejected"}


def test_a_simulated_outcome_is_no_answer(live, client):
    with live.charger(an_id(), Reset=None) as charger:
        outcome = client.command(charger.identity, "Reset", type="Soft", timeout=0.5).wait(30)
    assert (outcome.answered, outcome.is_simulated, outcome.status, outcome.response) == (False, True, "", None)
    assert (outcome.outcome, outcome.simulated_response) == ("timed_out", {"status": "Accepted"})


def test_an_outcome_has_no_truth_value(live, client):
    with live.charger(an_id(), Reset={"status": "Accepted"}) as charger:
        outcome = client.command(charger.identity, "Reset", type="Soft").wait(30)
    with pytest.raises(TypeError, match=".answered"):
        bool(outcome)


def test_waiting_ends_at_its_timeout_and_the_task_goes_on(live, client):
    with live.charger(an_id(), Reset=2) as charger:
        task = client.command(charger.identity, "Reset", type="Soft")
        with pytest.raises(NotInTime):
            task.wait(0.2)
        assert Task(client, task.task_id).wait(30).answered


def test_a_refusal_has_its_sentence_and_its_fields(live, client):
    with live.charger(an_id()) as charger, pytest.raises(Refused) as body:
        client.command(charger.identity, "Reset", type="Gentle")
    assert body.value.status == 400
    assert "type" in body.value.fields
    with pytest.raises(Refused, match="404: Charger not found"):
        client.charger("nobody/here")


def test_a_list_is_read_over_all_pages(live, client):
    wanted = [an_id() for _ in range(3)]
    for charger_id in wanted:
        client.post("chargers/", {"charger_id": charger_id})
    listed = [charger["charger_id"] for charger in client.chargers(page_size=2)]
    assert set(wanted) <= set(listed)
    assert len(listed) == len(set(listed))
    assert list(client.transactions(charger_id=wanted[0])) == []


def test_a_list_without_a_count_is_read_over_all_pages(live, client):
    charger_id = an_id()
    client.post("chargers/", {"charger_id": charger_id, "message_log": "all"})
    with live.charger(charger_id) as charger:
        for _ in range(3):
            charger.exchange("Heartbeat", {})

    def is_whole():
        listed = [message["id"] for message in client.pages("messages/", charger_id=charger_id, page_size=2)]
        return len(listed) == len(set(listed)) == 6

    eventually(is_whole)


def test_events_are_received_after_a_given_id(live, client):
    charger_id = an_id()
    with live.charger(charger_id):
        first = next(client.events(after=0, charger_id=charger_id))
    later = next(event for event in client.events(after=first["id"], charger_id=charger_id))
    assert (first["kind"], later["kind"]) == ("charger.online", "charger.offline")


class CutOff(BaseHTTPRequestHandler):
    """A stream that ends within an event, and sends all of it at the next request."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Last-Event-ID"))
        self.send_response(200)
        self.end_headers()
        whole = b'id: 5\n\nid: 6\nevent: charger.online\ndata: {"id": 6}\n\n'
        self.wfile.write(whole[:20] if len(self.server.asked) == 1 else whole)

    def log_message(self, *_):
        """Keep log lines off the screen."""


def test_an_event_that_was_cut_off_is_received_after_the_reconnect():
    with ThreadingHTTPServer(("127.0.0.1", 0), CutOff) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        event = next(Client(f"http://127.0.0.1:{server.server_port}").events())
        server.shutdown()
    assert event == {"id": 6}
    assert server.asked == [None, "5"]


def test_a_refused_stream_is_not_retried(client):
    with pytest.raises(Refused, match="400"):
        list(islice(client.events(kind="no.such"), 1))


def test_an_unreachable_server_is_reported_without_the_token():
    client = Client("http://127.0.0.1:9", token=TOKEN)
    with pytest.raises(Unreachable) as body:
        client.charger("505")
    assert TOKEN not in f"{client!r}{Task(client, '1')!r}{body.value!r}"
    assert body.value.__cause__ is None
    assert body.value.__suppress_context__


def test_the_client_imports_no_django():
    alone = "import sys, tools.client; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", alone], timeout=30).returncode == 0
