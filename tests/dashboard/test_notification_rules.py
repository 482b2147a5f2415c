"""The pages of notification rules."""

import json

import pytest

from chargers.models import NotificationRule, Site
from tests.support.builders import a_charger, a_rule, an_incident
from tests.support.dashboard import a_user

pytestmark = pytest.mark.django_db
FORM = {
    "name": "Night shift",
    "severity": "critical",
    "channel": "email",
    "language": "en",
    "target": "ann@example.org\r\nbob@example.org",
    "weekdays": ["1", "7"],
    "from_time": "22:00",
    "until_time": "06:00",
    "is_enabled": "on",
}
LIST = "/notification-rules/"


def page(client, path=LIST):
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def test_a_rule_is_made_shown_changed_and_deleted(api, settings):
    site = Site.objects.create(name="Depot")
    assert 'name="target"' in page(api, f"{LIST}new/")
    made = api.post(f"{LIST}new/", FORM | {"site": site.pk, "kinds": ["offline", "fault"]})
    rule = NotificationRule.objects.get()
    assert made["Location"] == f"{LIST}{rule.pk}/"
    assert (rule.weekdays, rule.kinds, rule.site) == ([1, 7], ["offline", "fault"], site)
    assert rule.target.opened() == "ann@example.org\nbob@example.org"
    listed = page(api)
    for text in ("Night shift", "Depot", "from Critical", "22:00–06:00", "Mon, Sun"):
        assert text in listed
    one = page(api, made["Location"])
    for text in ("ann@example.org", 'value="22:00"', 'value="7" checked', 'value="offline" checked'):
        assert text in one
    assert '<option value="en" lang="en" selected>' in one
    changed = FORM | {
        "do": "save",
        "language": "de",
        "escalate_after": "15",
        "escalation_target": "chief@example.org",
        "is_enabled": "",
    }
    del changed["is_enabled"]
    assert api.post(made["Location"], changed).status_code == 302
    rule.refresh_from_db()
    assert (rule.is_enabled, rule.site, rule.escalate_after, rule.language) == (False, None, 15, "de")
    assert '<option value="de" lang="de" selected>' in page(api, made["Location"])
    assert "Disabled" in page(api)
    assert api.post(made["Location"], {"do": "delete"})["Location"] == LIST
    assert not NotificationRule.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"name": ""}, "This field may not be blank."),
        ({"target": "ann"}, "Enter a valid email address."),
        ({"channel": "slack"}, "Enter a valid URL"),
        ({"channel": "webhook", "target": "http://127.0.0.1/", "template": "{"}, "This is not JSON."),
        ({"escalate_after": "x"}, "A valid integer is required."),
        ({"weekdays": []}, "Ensure this field has at least 1 elements."),
    ],
)
def test_an_invalid_rule_is_shown_with_its_errors(api, settings, wrong, error):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    answer = api.post(f"{LIST}new/", FORM | wrong)
    assert answer.status_code == 400
    shown = answer.content.decode()
    assert error in shown
    assert 'value="22:00"' in shown
    assert not NotificationRule.objects.exists()


def test_the_url_of_a_chat_program_stays_when_its_form_is_saved(api, settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    rule = a_rule(channel="webhook", target="http://127.0.0.1:9/secret", template={"a": "{title}"})
    shown = page(api, f"{LIST}{rule.pk}/")
    assert "secret" not in shown
    form = {
        "do": "save",
        "name": "Chat",
        "severity": "info",
        "channel": "webhook",
        "language": "en",
        "weekdays": ["1"],
    }
    form |= {"target": "http://127.0.0.1/(hidden)", "template": json.dumps({"b": 1})}
    assert api.post(f"{LIST}{rule.pk}/", form).status_code == 302
    rule.refresh_from_db()
    assert (rule.name, rule.template, rule.target.opened()) == ("Chat", {"b": 1}, "http://127.0.0.1:9/secret")


@pytest.mark.django_db(transaction=True)
def test_a_rule_is_tested_and_its_dead_messages_are_sent_again(api, settings):
    settings.EMAIL_HOST = ""
    rule, now = a_rule(channel="email", target="ann@example.org"), "2026-11-30T00:00:00Z"
    incident = an_incident(a_charger("CP-DEAD"))
    rule.deliveries.create(incident=incident, reason="opened", state="dead", error="x", created_at=now, due_at=now)
    one = f"{LIST}{rule.pk}/"
    assert "CP-DEAD" in page(api, one)
    tested = api.post(one, {"do": "test"}, follow=True).content.decode()
    assert "The test message was not sent: This server has no mail server: set EMAIL_HOST." in tested
    assert api.post(one, {"do": "replay"}).status_code == 302
    assert rule.deliveries.get(incident=incident).state == "pending"
    assert rule.deliveries.get(incident=None).state == "dead"


def test_rules_need_the_reach_of_every_charger(client):
    rule = a_rule()
    names = ("view", "add", "change", "delete")
    a_user(client, "view_charger", "view_incident", *(f"{name}_notificationrule" for name in names), group_of=[])
    for path in (LIST, f"{LIST}new/", f"{LIST}{rule.pk}/"):
        assert client.get(path).status_code == 403
        assert client.post(path, {"do": "delete"}).status_code == 403
    assert LIST not in page(client, "/incidents/")
    assert NotificationRule.objects.exists()


def test_a_user_who_may_only_look_cannot_change_a_rule(client):
    rule = a_rule()
    a_user(client, "reach_every_charger", "view_notificationrule", "view_incident")
    assert 'name="target"' not in page(client, f"{LIST}{rule.pk}/")
    for what in ("save", "test", "replay", "delete"):
        assert client.post(f"{LIST}{rule.pk}/", {"do": what}).status_code == 403
    assert client.get(f"{LIST}new/").status_code == 403
    assert client.get(f"{LIST}987654/").status_code == 404
