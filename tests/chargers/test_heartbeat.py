"""Heartbeat (OCPP 1.6 §4.6), and any frame as a sign of life."""

import pytest

from chargers import inbox
from chargers.times import now_on_the_wire, parse
from tests.builders import a_charger, tell

pytestmark = pytest.mark.django_db


def test_heartbeat_tells_the_time():
    before = now_on_the_wire()
    answer = tell(a_charger(), "Heartbeat")
    assert before <= answer["currentTime"] <= now_on_the_wire()


def test_any_frame_is_a_sign_of_life():
    charger = a_charger()
    noon = parse("2025-02-26T12:00:00Z")
    inbox.commit_with_retry([], {charger.pk: noon})
    charger.refresh_from_db()
    assert charger.last_seen == noon
