"""Notifications of incidents by e-mail and chat programs: once, in time, retried, escalated and summed up."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import AuthResult
from django.db import connection

from chargers.models import Incident, NotificationDelivery, NotificationRule, Site
from chargers.services import incident_messages, incident_notifications, incidents
from chargers.services.incidents import Span
from commands.services.incident_causes import RULES
from core.http import outward
from tests.support.builders import a_charger, a_rule, an_incident, tell
from tests.support.receivers import receiving

pytestmark = pytest.mark.django_db(transaction=True)
(FAULT,) = (rule for rule in RULES if rule.kind == "fault")


# --- servers ---------------------------------------------------------------------------------


class Mailbox(MessageHandler):
    """A mail server that stores each message; `refusal` is its answer to a recipient, if it is set."""

    def __init__(self):
        super().__init__()
        self.received, self.refusal = [], ""

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    def handle_message(self, message):
        self.received.append(message)


@pytest.fixture
def mailbox(settings):
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=0, authenticator=_login, auth_require_tls=False)
    server.port = _free_port()
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ocpp", "secret"
    yield box
    server.stop()


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _login(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"ocpp", b"secret"))


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with receiving() as server:
        yield server


def run():
    incidents.apply(FAULT, Span(datetime.now(UTC)))


def status(charger, status="Faulted", error="GroundFailure", connector=1):
    tell(charger, "StatusNotification", connectorId=connector, status=status, errorCode=error)


def a_fault(charger=None):
    charger = charger or a_charger()
    status(charger)
    run()
    return Incident.objects.get(charger=charger)


def later(hours=0, minutes=0):
    """Let time pass for incidents and notifications."""
    times = {"incident": ("opened_at", "last_seen_at", "cleared_at", "closed_at")}
    times["notificationdelivery"] = ("created_at", "due_at", "delivered_at")
    with connection.cursor() as cursor:
        for table, columns in times.items():
            changes = ", ".join(f"{c} = {c} - interval '{hours} hours {minutes} minutes'" for c in columns)
            cursor.execute(f"UPDATE chargers_{table} SET {changes}")


def states(rule):
    return list(rule.deliveries.order_by("pk").values_list("reason", "state"))


# --- e-mail ----------------------------------------------------------------------------------


def test_a_mail_says_where_what_since_when_and_what_to_do(mailbox, settings):
    settings.PUBLIC_URL = "https://ocpp.example.org"
    site = Site.objects.create(name="Depot", time_zone="Europe/Berlin")
    rule = a_rule(channel="email", target="ann@example.org\nbob@example.org")
    incident = a_fault(a_charger("505", site=site))
    assert incident_notifications.deliver(rule.pk) == 1
    (mail,) = mailbox.received
    assert mail["Subject"] == "[Depot] 505, connector 1: Connector reports a fault (GroundFailure)"
    assert mail["To"] == "ann@example.org, bob@example.org"
    text = mail.get_payload()
    for line in (
        "Site: Depot",
        "Charger: 505, connector 1",
        "Meaning: The ground fault protection has tripped.",
        "Severity: critical",
        f"Since: {incident.opened_at.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M} (Europe/Berlin)",
        f"Page: https://ocpp.example.org/incidents/{incident.pk}/",
    ):
        assert line in text.splitlines()
    assert list(incident.entries.values_list("action", flat=True)) == ["opened", "notified"]
    assert incident_notifications.deliver(rule.pk) == 0


def lines_of(mail):
    return mail.get_payload(decode=True).decode().splitlines()


def test_a_mail_is_in_the_language_of_the_rule(mailbox, settings):
    """The worker has no language of its own; those of its rules take turns."""
    settings.PUBLIC_URL = "https://ocpp.example.org"
    site = Site.objects.create(name="Depot", time_zone="Europe/Berlin")
    rules = [a_rule(channel="email", target="ann@example.org", language=code) for code in ("de", "en")]
    incident = a_fault(a_charger("505", site=site))
    Incident.objects.update(detail="The charger did not answer.", recurrences=1)
    for rule in rules:
        assert incident_notifications.deliver(rule.pk) == 1
    german, english = mailbox.received
    subject = str(make_header(decode_header(german["Subject"])))
    assert subject == "[Depot] 505, Anschluss 1: Anschluss meldet eine Störung (GroundFailure)"
    since = f"{incident.opened_at.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M} (Europe/Berlin)"
    assert lines_of(german) == [
        "Standort: Depot",
        "Ladestation: 505, Anschluss 1",
        "Problem: Anschluss meldet eine Störung (GroundFailure)",
        "Gemeldet: Die Ladestation hat nicht geantwortet.",
        "Bedeutung: Der Fehlerstromschutz hat ausgelöst.",
        "Abhilfe: Setzen Sie ihn nicht immer wieder zurück. Lassen Sie Ladestation, Kabel und Installation von "
        "einer Elektrofachkraft prüfen.",
        "Schweregrad: kritisch",
        f"Seit: {since}",
        "Wiederholt: 1 Mal",
        f"Seite: https://ocpp.example.org/incidents/{incident.pk}/",
    ]
    assert {"Severity: critical", f"Since: {since}", "Recurred: 1 time"} <= set(lines_of(english))
    incident_notifications.test(rules[0])
    assert str(make_header(decode_header(mailbox.received[2]["Subject"]))) == "Test der Benachrichtigungen"


def test_chats_get_the_language_of_the_rule_and_programs_the_same_words(receiver, settings):
    settings.PUBLIC_URL = "https://ocpp.example.org"
    rules = [a_rule(channel=name, target=receiver.url, language="de") for name in ("webhook", "teams")]
    a_fault(a_charger("505"))
    for number in range(5):
        a_fault(a_charger(f"CP-{number}"))
    for rule in rules:
        assert incident_notifications.deliver(rule.pk) == 6
    plain, card = (json.loads(body) for _, body in receiver.taken)
    assert plain["title"] == "6 Benachrichtigungen zu Vorfällen"
    assert "505, Anschluss 1: Anschluss meldet eine Störung (GroundFailure)" in plain["text"]
    assert plain["severity"] == "critical"
    assert card["attachments"][0]["content"]["actions"][0]["title"] == "Seite öffnen"


def test_a_charger_cannot_add_headers_to_a_mail(mailbox):
    rule = a_rule(channel="email", target="ann@example.org")
    status(a_charger("505\r\nBcc: eve@example.org"), error="Other\nSubject: x")
    run()
    assert incident_notifications.deliver(rule.pk) == 1
    assert mailbox.received[0]["Bcc"] is None


def test_a_refused_mail_is_tried_again(mailbox):
    rule = a_rule(channel="email", target="ann@example.org")
    a_fault()
    mailbox.refusal = "450 Mailbox busy"
    assert incident_notifications.deliver(rule.pk) == 0
    waiting = rule.deliveries.get()
    assert (waiting.state, waiting.attempts) == ("pending", 1)
    assert "450" in waiting.error
    assert waiting.due_at > datetime.now(UTC)
    mailbox.refusal = ""
    later(minutes=1)
    assert incident_notifications.deliver(rule.pk) == 1
    assert states(rule) == [("opened", "delivered")]


def test_a_mail_server_that_does_not_answer_and_none_at_all_are_errors(settings):
    rule = a_rule(channel="email", target="ann@example.org")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 0.3
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT = silent.getsockname()[1]
        assert "timed out" in incident_notifications.test(rule).error
    assert "ConnectionRefusedError" in incident_notifications.test(rule).error
    settings.EMAIL_HOST = ""
    assert incident_notifications.test(rule).error == "This server has no mail server: set EMAIL_HOST."


# --- chat programs ---------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["slack", "teams", "ntfy", "webhook"])
def test_each_chat_program_gets_its_own_form(receiver, settings, channel):
    settings.PUBLIC_URL = "https://ocpp.example.org"
    rule = a_rule(channel=channel, target=receiver.url)
    status(a_charger("<!channel>&"))
    run()
    assert incident_notifications.deliver(rule.pk) == 1
    ((path, body),) = receiver.taken
    if channel == "ntfy":
        assert path.startswith("/hook?title=%3C%21channel%3E%26%2C+connector+1")
        assert "priority=urgent" in path
        assert b"Meaning: The ground fault protection has tripped." in body
        return
    sent = json.loads(body)
    if channel == "slack":
        assert sent["text"].startswith("*&lt;!channel&gt;&amp;, connector 1: Connector reports a fault")
    elif channel == "teams":
        card = sent["attachments"][0]["content"]
        assert card["body"][0]["inlines"][0]["text"].startswith("<!channel>&, connector 1")
        assert card["actions"][0]["url"].startswith("https://ocpp.example.org/incidents/")
    else:
        assert (sent["charger"], sent["kind"], sent["severity"]) == ("<!channel>&", "fault", "critical")


def test_a_template_of_a_webhook_is_filled_once(receiver):
    template = {"summary": "{title}", "list": [{"link": "{unknown}"}, 7], "source": "{charger}/{site}"}
    rule = a_rule(target=receiver.url, template=template)
    status(a_charger("{text}"))
    run()
    incident_notifications.deliver(rule.pk)
    (sent,) = receiver.bodies
    assert sent["source"] == "{text}/"
    assert sent["list"] == [{"link": "{unknown}"}, 7]


@pytest.mark.parametrize("status_code", [500, 404, 302])
def test_a_failed_message_is_tried_again_until_it_is_dead_and_can_be_replayed(receiver, api, status_code):
    rule = a_rule(target=receiver.url)
    receiver.status = status_code
    a_fault()
    for _ in range(len(incident_notifications.RETRY_DELAYS_S) + 1):
        assert incident_notifications.deliver(rule.pk) == 0
        later(hours=7)
    (dead,) = rule.deliveries.all()
    assert (dead.state, dead.answered_status, dead.error) == ("dead", status_code, f"HTTP {status_code}")
    assert len(receiver.taken) == dead.attempts == 9
    receiver.status = 200
    listed = api.get(f"/api/ocpp/notification-rules/{rule.pk}/deliveries/?state=dead").json()["results"]
    assert [row["id"] for row in listed] == [dead.pk]
    assert api.post(f"/api/ocpp/notification-rules/{rule.pk}/replay/").json() == {"replayed": 1}
    assert incident_notifications.deliver(rule.pk) == 1
    path = f"/api/ocpp/notification-rules/{rule.pk}/deliveries/{dead.pk}/replay/"
    assert api.post(path).json() == {"replayed": 1}
    assert api.post(path.replace(str(dead.pk), "999999")).status_code == 404


def test_a_hanging_server_delays_no_other_rule_for_long(receiver, monkeypatch):
    monkeypatch.setattr(outward, "TIMEOUTS_S", (0.3, 0.3))
    receiver.delay_s = 2
    rule = a_rule(target=receiver.url)
    a_fault()
    began = time.monotonic()
    assert incident_notifications.deliver(rule.pk) == 0
    assert time.monotonic() - began < 1.5
    assert rule.deliveries.get().error == "ReadTimeout"


def test_a_private_address_is_not_reached(receiver, settings):
    rule = a_rule(target=receiver.url)
    settings.WEBHOOK_ALLOW_PRIVATE = False
    a_fault()
    assert incident_notifications.deliver(rule.pk) == 0
    assert "127.0.0.1 is not a public address" in rule.deliveries.get().error
    assert receiver.taken == []


def test_an_error_does_not_reveal_the_url():
    rule = a_rule(target="http://127.0.0.1:9/services/secret")
    assert "secret" not in incident_notifications.test(rule).error


# --- which rules, and when -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "applies"),
    [
        ({}, True),
        ({"severity": "critical"}, True),
        ({"kinds": ["fault", "offline"]}, True),
        ({"kinds": ["offline"]}, False),
        ({"is_enabled": False}, False),
    ],
)
def test_a_rule_applies_by_severity_and_kind(columns, applies):
    rule = a_rule(**columns)
    a_fault()
    assert rule.deliveries.exists() == applies


def test_a_rule_of_a_site_applies_to_its_chargers_only():
    site, other = Site.objects.create(name="Depot"), Site.objects.create(name="Other")
    here, there, everywhere = a_rule(site=site), a_rule(site=other), a_rule()
    a_fault(a_charger(site=site))
    a_fault()
    assert [rule.deliveries.count() for rule in (here, there, everywhere)] == [1, 0, 2]


def test_a_less_severe_incident_that_becomes_severe_is_notified():
    rule, charger = a_rule(severity="critical"), a_charger()
    status(charger, "Available", "WeakSignal")
    run()
    assert not rule.deliveries.exists()
    status(charger)
    run()
    assert states(rule) == [("opened", "pending")]


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("hours", "at", "due"),
    [
        ({}, "2026-03-02T03:00", "2026-03-02T03:00"),
        ({"from_time": "08:00", "until_time": "17:00"}, "2026-03-02T03:00", "2026-03-02T08:00"),
        ({"from_time": "08:00", "until_time": "17:00"}, "2026-03-02T12:00", "2026-03-02T12:00"),
        ({"from_time": "08:00", "until_time": "17:00"}, "2026-03-02T17:00", "2026-03-03T08:00"),
        # On Friday evening until Monday.
        ({"from_time": "08:00", "weekdays": [1, 2, 3, 4, 5]}, "2026-03-07T00:00", "2026-03-09T08:00"),
        # Over midnight: the night of a Sunday ends on Monday.
        ({"from_time": "22:00", "until_time": "06:00", "weekdays": [7]}, "2026-03-09T05:00", "2026-03-09T05:00"),
        ({"from_time": "22:00", "until_time": "06:00", "weekdays": [7]}, "2026-03-09T06:00", "2026-03-15T22:00"),
        # The clocks are set forward on this day.
        ({"from_time": "08:00", "until_time": "17:00"}, "2026-03-28T18:00", "2026-03-29T08:00"),
    ],
)
def test_the_hours_of_a_rule_are_those_of_the_site(hours, at, due):
    rule = a_rule(**hours)
    rule.refresh_from_db()
    moments = [datetime.fromisoformat(text).replace(tzinfo=BERLIN) for text in (at, due)]
    assert rule.next_time(moments[0].astimezone(UTC), BERLIN) == moments[1]


def test_a_message_waits_for_its_hours_and_is_not_sent_if_the_incident_has_ended(receiver):
    now = datetime.now(UTC)
    rule = a_rule(target=receiver.url, from_time=(now + timedelta(hours=2)).time())
    rule.until_time = (now + timedelta(hours=3)).time()
    rule.save()
    incident = a_fault()
    assert incident_notifications.deliver(rule.pk) == 0
    assert rule.deliveries.get().due_at > now + timedelta(minutes=100)
    incidents.close(incident, "alice")
    later(hours=3)
    assert incident_notifications.deliver(rule.pk) == 0
    assert states(rule) == [("opened", "obsolete")]
    assert receiver.taken == []


# --- flapping, floods, escalation ------------------------------------------------------------


def flap(charger, times):
    for _ in range(times):
        status(charger, "Available", "NoError")
        run()
        later(minutes=1)
        run()
        status(charger)
        run()
        incident_notifications.remind()


def test_a_flapping_charger_is_summed_up_once_an_hour(receiver):
    rule, charger = a_rule(target=receiver.url, notify_end=True), a_charger()
    a_fault(charger)
    flap(charger, 20)
    assert [row for row in states(rule) if row[0] != "closed"] == [("opened", "pending")]
    assert len(states(rule)) == 2
    later(hours=1)
    incident_notifications.remind()
    incident_notifications.remind()
    assert [row for row in states(rule) if row[0] == "recurred"] == [("recurred", "pending")]
    incident_notifications.deliver(rule.pk)
    (sent,) = [body for body in receiver.bodies if body["title"].startswith("Recurring: ")]
    assert "Recurred: 20 times" in sent["text"].splitlines()


def test_many_incidents_at_once_are_one_message(receiver):
    site = Site.objects.create(name="Depot")
    rule = a_rule(target=receiver.url)
    for number in range(60):
        status(a_charger(f"CP-{number:02}", site=site))
    run()
    assert incident_notifications.deliver(rule.pk) == 60
    (sent,) = receiver.bodies
    assert sent["title"] == "[Depot] 60 notifications of incidents"
    assert "and 10 more" in sent["text"]
    assert set(states(rule)) == {("opened", "delivered")}


def test_an_incident_that_nobody_acknowledges_is_escalated_once(receiver):
    second = receiver.url.replace("hook", "second")
    rule = a_rule(target=receiver.url, escalate_after=15, escalation_target=second)
    acknowledged, ignored = a_fault(), a_fault()
    incident_notifications.deliver(rule.pk)
    later(minutes=14)
    incident_notifications.remind()
    assert len(states(rule)) == 2
    incidents.acknowledge(acknowledged, "alice")
    later(minutes=2)
    incident_notifications.remind()
    incident_notifications.remind()
    incident_notifications.deliver(rule.pk)
    assert [path for path, _ in receiver.taken] == ["/hook", "/hook", "/second"]
    assert receiver.bodies[-1]["title"].startswith("Not acknowledged: ")
    assert receiver.bodies[-1]["incident"] == str(ignored.pk)
    assert list(ignored.entries.values_list("action", flat=True)) == ["opened", "notified", "escalated"]


def test_the_end_is_notified_if_the_rule_says_so(receiver):
    rule, silent, charger = a_rule(target=receiver.url, notify_end=True), a_rule(target=receiver.url), a_charger()
    a_fault(charger)
    for each in (rule, silent):
        incident_notifications.deliver(each.pk)
    status(charger, "Available", "NoError")
    run()
    later(minutes=1)
    run()
    assert incident_notifications.deliver(rule.pk) == 1
    assert incident_notifications.deliver(silent.pk) == 0
    assert receiver.bodies[-1]["title"].startswith("Closed: ")
    assert "Closed: " in receiver.bodies[-1]["text"]


def test_an_incident_without_a_site_and_a_code_has_a_short_message():
    rule = NotificationRule()
    message = incident_messages.of(rule, [NotificationDelivery(incident=an_incident(kind="system"), reason="opened")])
    assert message.title == "This system has a problem"


# --- over REST -------------------------------------------------------------------------------

RULES_PATH = "/api/ocpp/notification-rules/"
BODY = {"name": "Night", "channel": "email", "target": "ann@example.org", "severity": "critical"}


def post(api, body, path=RULES_PATH):
    return api.post(path, body, content_type="application/json")


def test_a_rule_is_made_tested_changed_and_deleted(api, mailbox):
    site = Site.objects.create(name="Depot")
    made = post(api, BODY | {"site": "Depot", "from_time": "22:00", "until_time": "06:00", "weekdays": [1, 7]})
    assert made.status_code == 201, made.content
    one = f"{RULES_PATH}{made.json()['id']}/"
    assert made.json() == made.json() | {"site": site.pk, "kinds": [], "weekdays": [1, 7], "is_enabled": True}
    assert made.json()["language"] == "en"
    tested = api.post(f"{one}test/").json()
    assert (tested["reason"], tested["state"], tested["incident_id"]) == ("test", "delivered", None)
    assert mailbox.received[0]["Subject"] == "Test of notifications"
    changed = api.patch(one, {"kinds": ["offline"]}, content_type="application/json")
    assert (changed.status_code, changed.json()["kinds"]) == (200, ["offline"])
    put = api.put(one, BODY, content_type="application/json")
    assert put.status_code == 200, put.content
    assert api.get(RULES_PATH).json()["count"] == 1
    assert api.delete(one).status_code == 204


def test_the_url_of_a_channel_is_not_shown_and_stays_if_it_is_sent_back(api, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    url = "http://127.0.0.1:9/services/T0/B0/secret"
    made = post(api, {"name": "Chat", "channel": "slack", "target": url}).json()
    assert made["target"] == "http://127.0.0.1/(hidden)"
    one = f"{RULES_PATH}{made['id']}/"
    body = {"name": "Chat", "channel": "slack", "target": made["target"], "severity": "info"}
    assert api.put(one, body, content_type="application/json").status_code == 200
    assert NotificationRule.objects.get().target.opened() == url
    assert b"secret" not in api.get("/api/ocpp/audit/").content


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"target": ""}, "target"),
        ({"target": "ann"}, "target"),
        ({"channel": "slack"}, "target"),
        ({"channel": "slack", "target": "ftp://x"}, "target"),
        ({"channel": "slack", "target": "http://10.0.0.1/"}, "target"),
        ({"channel": "pigeon"}, "channel"),
        ({"severity": "high"}, "severity"),
        ({"kinds": ["flood"]}, "kinds.0"),
        ({"weekdays": [0]}, "weekdays.0"),
        ({"weekdays": []}, "weekdays"),
        ({"from_time": "25:00"}, "from_time"),
        ({"escalate_after": 5}, "escalate_after"),
        ({"escalation_target": "bob@example.org"}, "escalate_after"),
        ({"template": {}}, "template"),
        ({"language": "fr"}, "language"),
        ({"site": "Nowhere"}, "site"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_an_invalid_rule_is_refused(api, settings, wrong, field):
    settings.WEBHOOK_ALLOW_PRIVATE = False
    refused = post(api, BODY | wrong)
    assert refused.status_code == 400, refused.content
    assert field in refused.json()["fields"]
