"""BootNotification (OCPP 1.6 §4.2)."""

import pytest

from chargers.models import Charger
from core.ocpp.timestamps import parse
from tests.support.builders import a_charger, tell

pytestmark = pytest.mark.django_db


def test_boot_is_accepted_with_the_time_in_utc_and_the_interval():
    answer = tell(a_charger(), "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert (answer["status"], answer["interval"]) == ("Accepted", 300)
    assert answer["currentTime"].endswith("Z")
    assert parse(answer["currentTime"])


def test_boot_stores_the_data_of_the_charger():
    charger = a_charger()
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M", firmwareVersion="1.2", iccid="89")
    charger.refresh_from_db()
    assert (charger.vendor, charger.model, charger.firmware_version, charger.iccid) == ("V", "M", "1.2", "89")
    assert charger.last_boot_at and charger.last_seen


def test_a_second_boot_clears_members_that_are_not_sent():
    charger = a_charger()
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M", meterType="old")
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert Charger.objects.get(pk=charger.pk).meter_type == ""
