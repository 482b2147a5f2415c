"""Reports by mail, received by a real SMTP server."""

import io
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy

import pypdf
import pytest
from aiosmtpd.controller import Controller
from django.contrib.auth.models import User

from dashboard import report_mail
from dashboard.models import ReportSubscription
from tests.support.builders import a_charger
from tests.support.dashboard import a_user
from tests.support.live import free_port
from tests.support.sessions import a_session, a_site

pytestmark = pytest.mark.django_db
PAGE = "/reports/subscriptions/"
NOVEMBER = datetime(2025, 11, 1, 5, tzinfo=UTC)  # 06:00 in Berlin


class Inbox:
    """A handler of aiosmtpd that keeps mails, and refuses the first `refuse`."""

    def __init__(self):
        self.mails, self.refuse = [], 0

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.refuse:
            self.refuse -= 1
            return "451 try again later"
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@pytest.fixture
def inbox(settings):
    inbox = Inbox()
    server = Controller(inbox, hostname="127.0.0.1", port=free_port())
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.hostname, server.port
    yield inbox
    server.stop()


def a_subscription(owner=None, due_at=NOVEMBER, **columns):
    owner = owner or User.objects.create_superuser("root")
    columns = {"name": "Boss", "recipients": "boss@example.com\nann@example.com", **columns}
    return ReportSubscription.objects.create(owner=owner, due_at=due_at, retry_at=due_at, **columns)


def test_the_report_of_the_last_month_is_sent_as_a_file(inbox):
    site = a_site()
    a_session(a_charger(site=site), "2025-10-31T22:59:00Z", 1500)
    a_session(a_charger(site=site), "2025-10-31T23:00:00Z", 9000)
    a_session(a_charger(), "2025-10-10T23:00:00Z", 9000)
    subscription = a_subscription(site=site, language="de")
    assert report_mail.send_due(NOVEMBER - timedelta(seconds=1)) == 0
    assert report_mail.send_due(NOVEMBER) == 1
    [(recipients, mail)] = inbox.mails
    assert recipients == ["boss@example.com", "ann@example.com"]
    assert mail["Subject"] == "Energie und Ladevorgänge, Boss"
    assert "Europe/Berlin" in mail.get_body().get_content()
    [file] = mail.iter_attachments()
    assert file.get_filename() == "energy-by-site-2025-10-01-2025-10-31.pdf"
    text = pypdf.PdfReader(io.BytesIO(file.get_content())).pages[0].extract_text()
    assert "1,50 kWh" in text
    subscription.refresh_from_db()
    assert (subscription.sent_at, subscription.due_at) == (NOVEMBER, datetime(2025, 12, 1, 5, tzinfo=UTC))
    assert report_mail.send_due(NOVEMBER) == 0


@pytest.mark.parametrize("kind", ["csv", "xlsx", "pdf"])
@pytest.mark.parametrize("report", ["energy", "sessions", "commands", "availability", "faults"])
def test_every_report_is_sent_in_every_format(inbox, report, kind):
    a_subscription(report=report, format=kind, group_by="charger")
    assert report_mail.send_due(NOVEMBER) == 1
    [(_, mail)] = inbox.mails
    assert [file.get_filename().endswith(f".{kind}") for file in mail.iter_attachments()] == [True]


def test_what_was_not_sent_is_tried_again(inbox):
    subscription = a_subscription()
    inbox.refuse = 2
    for failures, minutes in ((1, 5), (2, 10)):
        now = ReportSubscription.objects.get().retry_at
        assert report_mail.send_due(now) == 0
        subscription.refresh_from_db()
        assert "451" in subscription.error
        assert (subscription.failures, subscription.retry_at) == (failures, now + timedelta(minutes=minutes))
        assert report_mail.send_due(now) == 0
    assert report_mail.send_due(subscription.retry_at) == 1
    subscription.refresh_from_db()
    assert (subscription.failures, subscription.error) == (0, "")
    [(_, mail)] = inbox.mails
    assert next(mail.iter_attachments()).get_filename() == "energy-by-site-2025-10-01-2025-10-31.pdf"


def test_the_reach_of_the_owner_limits_the_report(client, inbox):
    near = a_charger("NEAR")
    for charger in (near, a_charger("FAR")):
        a_session(charger, "2025-10-10T12:00:00Z")
    owner = a_user(client, "view_transaction", group_of=[near])
    a_subscription(owner, group_by="charger", format="csv")
    report_mail.send_due(NOVEMBER)
    text = next(inbox.mails[0][1].iter_attachments()).get_content()
    assert "NEAR" in text
    assert "FAR" not in text


@pytest.mark.parametrize(
    ("every", "due", "first", "last"),
    [
        ("daily", "2025-10-27T05:00:00Z", date(2025, 10, 26), date(2025, 10, 26)),
        ("weekly", "2025-10-27T05:00:00Z", date(2025, 10, 20), date(2025, 10, 26)),
        ("monthly", "2025-11-01T05:00:00Z", date(2025, 10, 1), date(2025, 10, 31)),
    ],
)
def test_the_periods(every, due, first, last):
    """A report is planned for 06:00 of the zone, whatever summer time does."""
    subscription = ReportSubscription(every=every, site=a_site())
    report_mail.plan(subscription, datetime(2025, 10, 26, 6, tzinfo=UTC))
    assert subscription.due_at == datetime.fromisoformat(due)
    assert report_mail.period_before(every, subscription.due_at.date()) == (first, last)


def test_a_subscription_is_edited_on_the_page(client, inbox):
    user = a_user(client, "view_transaction", group_of=[])
    other, mine = a_subscription(), a_subscription(user, name="Mine", error="451", failures=3)
    form = {"name": "New", "report": "energy", "group_by": "day", "every": "monthly", "format": "csv", "site": ""}
    form |= {"language": "de", "recipients": "ann@example.com", "is_enabled": "on"}
    assert 'value="Mine"' in client.get(f"{PAGE}{mine.pk}/").content.decode()
    assert client.get(f"{PAGE}{other.pk}/").status_code == 404
    assert client.post(f"{PAGE}{other.pk}/", form).status_code == 404
    for wrong in ({"group_by": "port"}, {"report": "commands"}, {"site": a_site("Far").pk}, {"recipients": ""}):
        assert client.post(f"{PAGE}{mine.pk}/", form | wrong).status_code == 400, wrong
    assert client.post(f"{PAGE}{mine.pk}/", form).status_code == 302
    mine.refresh_from_db()
    assert (mine.name, mine.language, mine.owner, mine.due_at) == ("New", "de", user, NOVEMBER)
    assert mine.retry_at > datetime.now(UTC) - timedelta(minutes=1)  # what was not sent is tried at once
    client.post(f"{PAGE}{mine.pk}/", form | {"every": "daily"})
    mine.refresh_from_db()
    assert datetime.now(UTC) < mine.due_at <= datetime.now(UTC) + timedelta(days=1, hours=1)
    assert mine.error == ""
    client.post(f"{PAGE}{mine.pk}/", {**form, "is_enabled": ""})
    assert report_mail.send_due(datetime.now(UTC) + timedelta(days=90)) == 1  # that of another user


def test_the_form_is_german(api):
    text = api.get(PAGE, HTTP_ACCEPT_LANGUAGE="de").content.decode()
    for label in (
        "Bericht",
        "Gruppiert nach",
        "Empfänger",
        "Wie oft",
        "Sprache",
        "monatlich",
        "Verfügbarkeit",
        "Alle",
    ):
        assert label in text, label


REST = "/api/ocpp/report-subscriptions/"
BODY = {"name": "Boss", "report": "energy", "recipients": ["boss@example.com", "ann@example.com"], "format": "csv"}
JSON = "application/json"


def test_subscriptions_over_rest(client):
    near = a_site("Near")
    user = a_user(client, "view_transaction", group_of=[])
    near.users.add(user)
    other = a_subscription(name="Other")
    made = client.post(REST, BODY | {"site": "Near", "group_by": "charger", "every": "weekly"}, JSON)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert (shown["owner"], shown["site"], shown["recipients"]) == (user.username, near.pk, BODY["recipients"])
    assert datetime.fromisoformat(shown["due_at"]) > datetime.now(UTC)
    assert [row["name"] for row in client.get(REST).json()["results"]] == ["Boss"]
    one = f"{REST}{shown['id']}/"
    changed = client.patch(one, {"recipients": ["eve@example.com"], "every": "daily", "site": None}, JSON).json()
    assert (changed["recipients"], changed["site"], changed["group_by"]) == (["eve@example.com"], None, "charger")
    assert client.put(one, BODY, JSON).status_code == 200
    for method in (client.get, client.delete):
        assert method(f"{REST}{other.pk}/").status_code == 404
    assert client.patch(f"{REST}{other.pk}/", {"name": "x"}, JSON).status_code == 404
    assert client.delete(one).status_code == 204
    user.user_permissions.clear()
    assert client.get(REST).status_code == client.post(REST, BODY, JSON).status_code == 403


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"recipients": []}, "recipients"),
        ({"recipients": ["nobody"]}, "recipients"),
        ({"report": "commands"}, "report"),
        ({"group_by": "port"}, "group_by"),
        ({"report": "availability", "group_by": "id_tag"}, "group_by"),
        ({"site": "Far"}, "site"),
        ({"every": "hourly"}, "every"),
        ({"typo": 1}, "typo"),
    ],
)
def test_an_invalid_subscription_is_refused(client, wrong, field):
    a_site("Far")
    a_user(client, "view_transaction", group_of=[])
    answer = client.post(REST, BODY | wrong, JSON)
    assert answer.status_code == 400, answer.content
    assert any(name.startswith(field) for name in answer.json()["fields"]), answer.content


def test_the_owner_of_a_new_subscription_is_the_user_who_adds_it(client):
    User.objects.create_superuser("root")
    a_user(client, "view_transaction", group_of=[])
    answer = client.post(REST, BODY | {"owner": "root"}, JSON)
    assert (answer.status_code, answer.json()["owner"]) == (201, "bob")


def test_subscriptions_are_listed_by_their_columns(api):
    near = a_site("Near")
    ann, eve = (User.objects.create_user(name) for name in ("ann", "eve"))
    a_subscription(ann, name="A", site=near, group_by="day", format="csv", language="de")
    a_subscription(eve, name="E")
    for query in ("site=Near", f"site={near.pk}", "owner=ann", "group_by=day", "format=csv", "language=de"):
        answer = api.get(f"{REST}?{query}").json()
        assert [row["name"] for row in answer["results"]] == ["A"], query
    assert api.get(f"{REST}?owner=nobody").json()["results"] == []


def test_a_report_that_the_editor_may_not_see_is_not_mailed_to_the_editor(client):
    theirs = a_subscription()
    a_user(client, "view_transaction", "reach_every_charger")
    one = f"{REST}{theirs.pk}/"
    refused = client.patch(one, {"report": "commands", "recipients": ["bob@example.com"]}, JSON)
    assert refused.status_code == 400
    text = "bob may not see this report, which needs the permission commands.view_command."
    assert refused.json()["fields"] == {"report": [text]}
    form = {"name": "Boss", "report": "commands", "group_by": "site", "every": "monthly", "format": "csv"}
    form |= {"language": "en", "recipients": "bob@example.com", "site": "", "is_enabled": "on"}
    assert client.post(f"{PAGE}{theirs.pk}/", form).status_code == 400
    ReportSubscription.objects.update(report="commands")
    assert client.patch(one, {"recipients": ["bob@example.com"]}, JSON).status_code == 400
    assert client.post(f"{PAGE}{theirs.pk}/", form | {"report": "energy"}).status_code == 302
    assert client.delete(one).status_code == 204


def test_those_who_reach_every_charger_change_the_subscriptions_of_others(client, api):
    near, far = a_site("Near"), a_site("Far")
    user = a_user(client, "view_transaction", group_of=[])
    near.users.add(user)
    theirs = a_subscription(user)
    assert api.patch(f"{REST}{theirs.pk}/", {"site": near.pk}, JSON).status_code == 200
    refused = api.patch(f"{REST}{theirs.pk}/", {"site": far.pk}, JSON)  # the report has the reach of its owner
    assert refused.status_code == 400, refused.content
    assert api.get(f"{REST}{theirs.pk}/").json()["owner"] == user.username


@pytest.mark.parametrize(
    ("lose", "reason"),
    [
        (lambda user: user.user_permissions.clear(), "bob may not see this report"),
        (lambda user: User.objects.update(is_active=False), "bob may not see this report"),
        (lambda user: user.sites.clear(), "bob may not see this site."),
    ],
    ids=["permission", "account", "site"],
)
def test_nothing_is_sent_while_the_owner_may_not_see_the_report(client, inbox, lose, reason):
    user = a_user(client, "view_transaction", group_of=[])
    site = a_site("Near")
    site.users.add(user)
    subscription = a_subscription(user, site=site)
    lose(user)
    assert report_mail.send_due(NOVEMBER) == 0
    subscription.refresh_from_db()
    assert reason in subscription.error
    assert (subscription.failures, subscription.retry_at) == (1, NOVEMBER + timedelta(minutes=5))
    assert inbox.mails == []


def test_one_report_that_cannot_be_made_does_not_hold_up_the_others(inbox):
    broken = a_subscription(name="First", recipients="boss@@example.com")
    a_subscription(broken.owner, name="Second")
    assert report_mail.send_due(NOVEMBER) == 1
    broken.refresh_from_db()
    assert broken.error.startswith("An internal error (")
    assert (broken.failures, broken.retry_at) == (1, NOVEMBER + timedelta(minutes=5))
    assert [mail["Subject"] for _, mail in inbox.mails] == ["Energy and sessions, Second"]


def test_a_subscription_is_made_listed_and_deleted_on_the_page(client):
    user = a_user(client, "view_transaction", group_of=[])
    other = a_subscription()
    form = {"name": "Mine", "report": "energy", "group_by": "site", "every": "weekly", "format": "csv"}
    form |= {"language": "en", "recipients": "boss@example.com", "site": ""}
    assert client.post(PAGE, form | {"recipients": "nobody"}).status_code == 400
    assert client.post(PAGE, form | {"site": a_site().pk}).status_code == 400  # out of sight
    assert client.post(PAGE, form).status_code == 302
    text = client.get(PAGE).content.decode()
    assert "Mine" in text
    assert "Boss" not in text
    assert client.post(f"{PAGE}{other.pk}/delete/").status_code == 404
    mine = ReportSubscription.objects.get(owner=user)
    assert mine.due_at > datetime.now(UTC)
    assert client.post(f"{PAGE}{mine.pk}/delete/").status_code == 302
    assert list(ReportSubscription.objects.all()) == [other]
