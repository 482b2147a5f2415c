"""What operators set, in a browser, on a phone 360 px wide."""

import re

import pytest

from tests.support.browser import EXECUTABLE, NARROW, NONE, a_page, check, playwright, wait_until
from tests.support.live import an_id, exchange
from tests.support.socket_sessions import START, meter

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)


IN_SIGHT = """element => { const box = element.getBoundingClientRect();
    return box.width > 0 && box.left >= 0 && box.right <= innerWidth; }"""


@pytest.fixture
def phone(browser, live):
    with a_page(browser, live, viewport=NARROW) as page:
        yield page


def test_lists_show_time_and_energy_on_a_phone(phone, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        transaction_id = exchange(socket, "1", "StartTransaction", START)[2]["transactionId"]
        meter(socket, transaction_id, 1500, "2025-02-26T12:05:00Z")
        stop = {"transactionId": transaction_id, "meterStop": 3500, "timestamp": "2025-02-26T13:30:00Z"}
        exchange(socket, "2", "StopTransaction", stop)
    for path in (f"/transactions/?charger_id={charger_id}", f"/chargers/{charger_id}/"):
        phone.goto(path)
        row = phone.locator("table.stacked tbody tr").first
        for cell in (row.locator("time"), row.get_by_text("1 h 30 min"), row.get_by_text(re.compile(r"2\.50.kWh"))):
            wait_until(phone, lambda cell=cell: cell.evaluate(IN_SIGHT))  # the page may be drawing it again
        check(phone)


def test_the_navigation_is_a_menu_on_a_phone(phone):
    link = phone.get_by_role("link", name="Settings")
    playwright.expect(link).to_be_hidden()
    assert phone.locator(".bar").bounding_box()["height"] < 110
    phone.get_by_role("button", name="Menu").click()
    link.click()
    phone.wait_for_url("**/settings/")
    check(phone)


def test_tags_are_imported(phone, live):
    tag = an_id()[:20]
    phone.goto("/tags/import/")
    for text, heading in ((f"id_tag,type\n{tag},Nonsense\n", "The file has errors"), (f"id_tag\n{tag}\n", "New: 1")):
        phone.locator("[type=file]").set_input_files(
            {"name": "t.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        phone.get_by_role("button", name="Check file").click()
        playwright.expect(phone.get_by_role("heading", name=heading)).to_be_visible()
        check(phone)
    phone.get_by_role("button", name="Import", exact=True).click()
    phone.goto(f"/tags/?search={tag}")
    check(phone)
    phone.get_by_role("link", name=tag).click()
    check(phone)
    phone.get_by_label("Description").fill("Van 7")
    phone.get_by_role("button", name="Save").click()
    phone.wait_for_url("**/tags/")


def test_a_colleague_is_added_and_logs_in(phone, live, browser):
    name = an_id()
    phone.goto("/users/")
    check(phone)
    phone.get_by_role("link", name="Add user").click()
    phone.get_by_label("User name").fill(name)
    phone.get_by_label("Viewers").check()
    check(phone)
    phone.get_by_role("button", name="Save").click()
    password = phone.get_by_label("Password").input_value()
    check(phone)
    context = browser.new_context(base_url=live.url, viewport=NARROW)
    page = context.new_page()
    page.goto("/login/?next=/account/")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(password)
    page.locator(".login button").click()
    page.get_by_label("Purpose").fill("Backup")
    check(page)
    page.get_by_role("button", name="New token").click()
    assert len(page.get_by_label("Token").input_value()) > 30
    check(page, "/account/password/")
    context.close()


def test_chargers_webhooks_and_schedules_are_set(phone, live):
    charger_id, name = an_id(), an_id()
    with live.socket(charger_id):
        pass
    check(phone, f"/chargers/{charger_id}/edit/")
    phone.get_by_label("Description").fill("Left")
    phone.get_by_role("button", name="Save").click()
    playwright.expect(phone.locator("body")).to_contain_text("Left")
    phone.goto("/webhooks/new/")
    check(phone)
    phone.get_by_label("Name").fill(name)
    phone.get_by_label("URL").fill("http://127.0.0.1:9/")
    phone.get_by_role("button", name="Save").click()
    assert phone.get_by_label("Secret").input_value().startswith("whsec_")
    check(phone, "/webhooks/")
    phone.get_by_role("link", name=f"Deliveries of {name}").click()
    check(phone)
    form = f"of_search={charger_id}&when_crontab=30+3+*+*+*&schedule_name={name}&is_immediate=false"
    phone.goto(f"/batches/new/reset/?{form}")
    phone.locator("[name=when]").select_option("crontab")
    phone.get_by_role("button", name="Continue").click()
    phone.get_by_role("button", name="Send Restart").click()
    phone.wait_for_url("**/batches/")
    phone.get_by_role("link", name=name).click()
    check(phone)
    phone.locator("[name=when_crontab]").fill("0 4 * * *")
    phone.get_by_role("button", name="Save").click()
    playwright.expect(phone.locator("main")).to_contain_text("04:00")
