"""A job of an operator in a browser, on a phone 360 px wide: limit power, and see that the charger keeps it."""

from datetime import UTC, datetime

import pytest

from tests.support.browser import EXECUTABLE, NARROW, NONE, a_page, check, has, playwright
from tests.support.live import an_id

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)


def a_composite_schedule(limit):
    """Return the answer to GetCompositeSchedule of a charger that is limited to `limit` A for a day."""
    periods = [{"startPeriod": 0, "limit": limit}]
    schedule = {"duration": 86_400, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    start = datetime.now(UTC).isoformat(timespec="seconds")
    return {"status": "Accepted", "connectorId": 0, "scheduleStart": start, "chargingSchedule": schedule}


def test_a_daily_limit_is_set_and_confirmed_on_a_phone(browser, live):
    charger_id = an_id()
    answers = {
        "SetChargingProfile": {"status": "Accepted"},
        "GetCompositeSchedule": a_composite_schedule(6),
        "ClearChargingProfile": {"status": "Accepted"},
    }
    with live.charger(charger_id, **answers), a_page(browser, live, viewport=NARROW) as phone:
        phone.goto(f"/chargers/{charger_id}/")
        phone.get_by_role("link", name="Limit power", exact=True).click()
        phone.get_by_label("At most").fill("6")
        phone.get_by_label("From").fill("00:00")
        phone.get_by_label("Until").fill("23:59")
        check(phone)
        phone.get_by_role("button", name="Continue").click()
        has(phone.locator("main"), "This is sent to 1 charger.")
        check(phone)
        phone.get_by_role("button", name="Limit power").click()
        phone.wait_for_url("**/#limits")
        has(phone.locator("#limits"), "daily 00:00–23:59")
        has(phone.locator("#limits"), "Installed")
        playwright.expect(phone.locator("#limits .curve canvas")).to_be_visible()
        check(phone)
        phone.locator("#limits").get_by_role("link", name="6").click()
        check(phone)
        phone.locator("#limit-state").get_by_role("link", name="Installed").click()
        playwright.expect(phone.locator("#command")).to_contain_text("Confirmed", timeout=40_000)
        phone.go_back()
        phone.get_by_role("link", name="Remove limit").click()
        check(phone)
        phone.get_by_role("button", name="Remove limit").click()
        has(phone.locator("#limit-state"), "Ended")
