"""Webhooks get every event, signed, with retries until they accept it or the retries end."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import standardwebhooks
from django.db import connection, transaction

from chargers.models import ChargerGroup, Delivery, Event, Webhook
from chargers.services import events, webhooks
from core.redis import leases
from tests.support.builders import a_charger, open_socket
from tests.support.live import an_id, eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver(HTTPServer):
    """A server that answers each POST with `status`; `taken` has (headers, body) of each."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken, self.status, self.meanwhile = [], 204, lambda number: None
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.headers, body))
        self.server.meanwhile(len(self.server.taken))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()

    def log_message(self, *_):
        """Keep log lines off the screen."""


@pytest.fixture
def receiver():
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def a_webhook(url, **columns):
    return Webhook.objects.create(name=f"hook {Webhook.objects.count()}", url=url, **columns)


def an_event(charger=None):
    open_socket(charger or a_charger())


def make_due():
    Delivery.objects.filter(state=Delivery.PENDING).update(due_at=datetime.now(UTC))


def test_an_event_is_posted_with_a_signature_by_standard_webhooks(receiver):
    webhook = a_webhook(receiver.url)
    an_event()
    assert webhooks.deliver(webhook.pk) == 1
    ((headers, body),) = receiver.taken
    verified = standardwebhooks.Webhook(webhook.secret.opened()).verify(body, dict(headers))
    assert verified["kind"] == "charger.online"
    assert Delivery.objects.get(webhook=webhook).state == Delivery.DELIVERED


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "webhook-signature", "body", "secret"])
def test_the_signature_covers_the_whole_delivery(receiver, changed):
    """The verifier is that of the Standard Webhooks specification, which receivers use."""
    webhook = a_webhook(receiver.url)
    an_event()
    webhooks.deliver(webhook.pk)
    ((headers, body),) = receiver.taken
    values = {
        "webhook-id": "another",
        "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1),
        "webhook-signature": "v1,AAAA",
    }
    forged = dict(headers) | {name: value for name, value in values.items() if name == changed}
    secret = "whsec_AAAA" if changed == "secret" else webhook.secret.opened()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(secret).verify(body + b" " if changed == "body" else body, forged)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_failed_delivery_is_retried_later(receiver, status):
    webhook = a_webhook(receiver.url)
    receiver.status = status
    an_event()
    assert webhooks.deliver(webhook.pk) == 0
    waiting = Delivery.objects.get(webhook=webhook)
    assert (waiting.state, waiting.attempts, waiting.answered_status) == (Delivery.PENDING, 1, status)
    assert waiting.due_at > datetime.now(UTC)
    assert webhooks.deliver(webhook.pk) == 0
    assert len(receiver.taken) == 1


def test_a_delivery_is_given_up_after_all_retries_and_can_be_replayed(receiver, api):
    webhook = a_webhook("http://127.0.0.1:9/")
    an_event()
    for _ in range(len(webhooks.RETRY_DELAYS_S) + 1):
        webhooks.deliver(webhook.pk)
        make_due()
    assert Delivery.objects.get(webhook=webhook).state == Delivery.DEAD
    Webhook.objects.update(url=receiver.url)
    assert api.post(f"/api/ocpp/webhooks/{webhook.pk}/replay/").json() == {"replayed": 1}
    assert webhooks.deliver(webhook.pk) == 1
    assert len(receiver.taken) == 1


def test_due_events_are_posted_in_order(receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "PAGE_SIZE", 2)
    webhook = a_webhook(receiver.url)
    for _ in range(5):
        an_event()
    assert webhooks.deliver(webhook.pk) == 5
    ids = [json.loads(body)["id"] for _, body in receiver.taken]
    assert ids == sorted(ids)


def a_flood(charger, events_of_it):
    with transaction.atomic(), events.batched_events():
        for number in range(events_of_it):
            events.record_event("connector.status", charger.pk, number=number)


def told_of(receiver):
    return [json.loads(body)["charger_id"] for _, body in receiver.taken]


def test_a_flood_of_one_charger_does_not_delay_others(receiver):
    webhook, flooding, other = a_webhook(receiver.url), a_charger(), a_charger()
    a_flood(flooding, 1000)
    an_event(other)
    assert webhooks.deliver(webhook.pk) == 1001
    assert told_of(receiver).index(other.identity) == 1
    numbers = [json.loads(body)["body"].get("number") for _, body in receiver.taken]
    assert [number for number in numbers if number is not None] == list(range(1000))


def test_an_event_during_a_flood_is_posted_before_the_flood_ends(receiver):
    webhook, flooding, other = a_webhook(receiver.url), a_charger(), a_charger()

    def meanwhile(number):
        if number == 5:
            an_event(other)
            connection.close()

    receiver.meanwhile = meanwhile
    a_flood(flooding, 200)
    assert webhooks.deliver(webhook.pk) == 201
    assert told_of(receiver).index(other.identity) <= 5 + webhooks.MAX_OF_ONE_CHARGER + 1


def test_the_pending_events_of_a_charger_are_limited(receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "MAX_PENDING_OF_ONE_CHARGER", 5)
    webhook, flooding, other = a_webhook(receiver.url), a_charger(), a_charger()
    a_flood(flooding, 8)
    an_event(other)
    assert webhooks.deliver(webhook.pk) == 6
    given_up = Delivery.objects.filter(state=Delivery.DEAD)
    assert [row.event.body["number"] for row in given_up.order_by("pk")] == [0, 1, 2]
    assert "More than 5 events" in given_up[0].error


def test_events_of_a_deleted_charger_are_not_posted(receiver):
    webhook, gone = a_webhook(receiver.url), a_charger()
    an_event(gone)
    an_event()
    Event.objects.filter(charger=gone).update(charger=0)  # it was deleted while the event was recorded
    assert webhooks.deliver(webhook.pk) == 1
    assert Delivery.objects.filter(state=Delivery.PENDING).count() == 0


def test_an_expired_lease_does_not_release_that_of_another_task():
    name, own = an_id(), "that of a task whose time is over"
    lease = leases.acquire(name, 10)
    leases.release(name, own)
    assert lease
    assert leases.acquire(name, 10) is None
    leases.release(name, lease)
    assert leases.acquire(name, 10)


def test_a_task_with_an_expired_lease_posts_nothing(receiver):
    webhook = a_webhook(receiver.url)
    an_event()
    assert webhooks.deliver(webhook.pk, "an older lease") == 0
    assert receiver.taken == []
    lease = leases.acquire(f"webhook:{webhook.pk}", 10)
    assert webhooks.deliver(webhook.pk, lease) == 1


# In a process of its own: as in a worker, what blocks is a greenlet.
DRIPPING = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, django; django.setup()
import requests
from chargers.services import webhooks
from core.http import outward
from chargers.models import Charger, Delivery, Event, Webhook
from datetime import UTC, datetime
listening = socket.create_server(("127.0.0.1", 0))
def drip():
    peer, _ = listening.accept()
    for byte in b"HTTP/1.1 204 No Content\\r\\nX-Long: " + b"x" * 1000:
        peer.sendall(bytes([byte])); gevent.sleep(0.1)
gevent.spawn(drip)
outward.MAX_DURATION_S = 1
hook = Webhook(secret="whsec_AAAA", url=f"http://127.0.0.1:{listening.getsockname()[1]}/")
event = Event(id=1, kind="charger.online", charger=Charger(identity="505"), at=datetime.now(UTC), body={})
print(webhooks._post(requests.Session(), hook, Delivery(event=event)))
"""


def test_a_slowly_dripping_answer_ends_with_a_timeout():
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", DRIPPING]
    reply = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert reply.stdout.strip() == "(None, 'TooSlow')", reply.stderr[-2000:]


def test_a_failing_webhook_does_not_affect_another(receiver):
    silent, taking = a_webhook("http://127.0.0.1:9/"), a_webhook(receiver.url)
    an_event()
    assert (webhooks.deliver(silent.pk), webhooks.deliver(taking.pk)) == (0, 1)


def test_a_webhook_receives_only_its_group_and_kinds(receiver):
    inside, outside = a_charger(), a_charger()
    group = ChargerGroup.objects.create(name="site")
    group.chargers.add(inside)
    a_webhook(receiver.url, group=group)
    a_webhook(receiver.url, kinds=["transaction.started"])
    an_event(inside)
    an_event(outside)
    assert list(Delivery.objects.values_list("event__charger", flat=True)) == [inside.pk]


def test_a_malformed_url_fails_the_delivery_with_an_error():
    webhook = a_webhook("http://127.0.0.1:9/")
    Webhook.objects.update(url="http://[half")
    an_event()
    assert webhooks.deliver(webhook.pk) == 0
    assert Delivery.objects.get(webhook=webhook).error


def test_the_secret_is_shown_once(api):
    asked = {"name": "w", "url": "https://example.org/hook"}
    made = api.post("/api/ocpp/webhooks/", asked, content_type="application/json")
    secret = made.json()["secret"]
    assert made.headers["Cache-Control"] == "no-store"
    assert secret.startswith("whsec_")
    page = api.get(f"/admin/chargers/webhook/{made.json()['id']}/change/").content.decode()
    assert secret not in api.get("/api/ocpp/webhooks/").content.decode() + page
    assert secret not in api.get("/api/ocpp/audit/?kind=webhook").content.decode()


@pytest.mark.parametrize(
    "url", ["http://receiver:8299/ok", "https://[::1]/x", "http://10.0.0.1:80", "https://h_1.example/"]
)
def test_a_receiver_may_have_any_host_name(api, url):
    answer = api.post("/api/ocpp/webhooks/", {"name": "w", "url": url}, content_type="application/json")
    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"url": url}
            for url in ("ftp://example.org/", "https://u:p@example.org/", "no url", "http://", "http://a b/")
        ),
        *({"kinds": ["weather"]}, {"kinds": []}, {"group": "unknown"}, {"kindz": []}),
    ],
)
def test_an_invalid_webhook_is_refused_with_its_field(api, wrong):
    asked = {"name": "w", "url": "https://example.org/hook", **wrong}
    answer = api.post("/api/ocpp/webhooks/", asked, content_type="application/json")
    wronged = {name.partition(".")[0] for name in answer.json()["fields"]}
    assert answer.status_code == 400
    assert wronged == set(wrong)


def test_the_worker_posts_events_to_a_webhook(live, receiver):
    asked = {"name": f"live {receiver.server_port}", "url": receiver.url, "kinds": ["charger.online"]}
    status, made, _ = live.request("POST", "/api/ocpp/webhooks/", asked)
    assert status == 201, made
    try:
        charger_id = an_id()
        with live.charger(charger_id):
            eventually(lambda: any(charger_id in body.decode() for _, body in receiver.taken), 20)
    finally:
        live.request("DELETE", f"/api/ocpp/webhooks/{made['id']}/")
