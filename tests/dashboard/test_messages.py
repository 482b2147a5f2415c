"""The page of the message log: its search and its links."""

import pytest

from gateway import message_log
from tests.support.builders import a_charger
from tests.support.live import eventually

pytestmark = pytest.mark.django_db


def test_a_search_of_all_messages_covers_a_day_or_asks_for_a_filter(api):
    page = api.get("/messages/?search=x")
    assert page.context["query"]["since"]
    assert not page.context["wrong"]
    assert "at most a day apart" in api.get("/messages/?search=x&since=2025-01-01").content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_link_to_older_messages_is_not_a_filter(api):
    charger, log = a_charger(), message_log.MessageLogWriter()
    for n in range(101):
        text = f'[2,"{n}","Heartbeat",{{}}]'
        log.record(
            message_log.LoggedFrame(charger.pk, 1e9 + n, "in", text, "call", str(n), "Heartbeat", False, True, False)
        )
    eventually(lambda: log.written == 101)
    page = api.get(f"/messages/?charger_id={charger}")
    assert "until=" in page.context["older"]
    assert "until" not in page.context["query"]
