"""Heartbeat (OCPP 1.6 §4.6), and `last_seen`, which every frame sets."""

import pytest

from core.ocpp.timestamps import now_on_the_wire, parse
from gateway.calls import commits
from gateway.commits import Batch
from tests.support.builders import a_charger, tell

pytestmark = pytest.mark.django_db


def test_heartbeat_is_answered_with_the_time():
    before = now_on_the_wire()
    answer = tell(a_charger(), "Heartbeat")
    assert before <= answer["currentTime"] <= now_on_the_wire()


def test_any_frame_sets_last_seen():
    charger = a_charger()
    noon = parse("2025-02-26T12:00:00Z")
    commits.commit_with_retry(Batch([], {charger.pk: noon}))
    charger.refresh_from_db()
    assert charger.last_seen == noon
