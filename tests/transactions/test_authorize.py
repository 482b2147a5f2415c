"""Authorize (OCPP 1.6 §4.1)."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.builders import a_charger, a_tag, tell

pytestmark = pytest.mark.django_db
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def verdict(id_tag):
    return tell(a_charger(), "Authorize", idTag=id_tag)["idTagInfo"]


def test_a_known_tag_is_accepted_in_any_case():
    a_tag("AbC")
    assert verdict("aBc") == {"status": "Accepted"}


def test_an_unknown_tag_is_invalid():
    assert verdict("nobody") == {"status": "Invalid"}


def test_a_tag_past_its_expiry_date_is_expired_with_that_date():
    a_tag(expiry_date=YESTERDAY)
    answer = verdict("ABC")
    assert answer["status"] == "Expired"
    assert answer["expiryDate"].endswith("Z")


def test_blocked_takes_precedence_over_expired():
    a_tag(status="Blocked", expiry_date=YESTERDAY)
    assert verdict("ABC")["status"] == "Blocked"


def test_the_answer_has_the_parent_tag():
    a_tag(parent_id_tag="FAMILY")
    assert verdict("ABC") == {"status": "Accepted", "parentIdTag": "FAMILY"}


@pytest.mark.parametrize("id_tag", ["#FreeCharging", "VID:0123456789AB", " ", "a/b\\'\""])
def test_tags_may_contain_any_character(id_tag):
    a_tag(id_tag)
    assert verdict(id_tag)["status"] == "Accepted"
