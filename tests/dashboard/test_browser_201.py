"""The pages of a charger of OCPP 2.0.1 in a browser, against the running product."""

import os

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.browser import EXECUTABLE, NONE, PHONE, WALL, a_page, playwright
from tests.support.live import an_id, eventually
from tests.support.station201 import Station201

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)
SERIOUS = ("serious", "critical")
VARIABLES = (
    ("OCPPCommCtrlr", "HeartbeatInterval", "300", {"dataType": "integer", "unit": "s", "minLimit": 1}),
    ("AuthCtrlr", "Enabled", "true", {"dataType": "boolean"}),
    ("EVSE", "Power", "22000", {"dataType": "decimal", "unit": "W", "maxLimit": 22000}),
)


@pytest.fixture
def station(live):
    """A booted station with a session on EVSE 1, and the variables that it reported."""
    with Station201(live) as station:
        station.connect()
        station.booted()
        report(station, live)
        session = station.session()
        station.status("Occupied")
        session.start()
        session.update(wh=2500)
        yield station


def report(station, live):
    task = live.ask(station.identity, "GetBaseReport", {"reportBase": "FullInventory"})
    request = station.receive("GetBaseReport")
    station.answer(status="Accepted")
    live.finished(task)
    data = [
        {
            "component": {"name": component} | ({"evse": {"id": 1}} if component == "EVSE" else {}),
            "variable": {"name": variable},
            "variableAttribute": [{"value": value, "mutability": "ReadWrite"}],
            "variableCharacteristics": {"supportsMonitoring": True, **facts},
        }
        for component, variable, value, facts in VARIABLES
    ]
    generated = {"requestId": request["requestId"], "generatedAt": "2025-02-26T12:00:00Z", "seqNo": 0, "tbc": False}
    station.call("NotifyReport", **generated, reportData=data)


def paths_of(station, live):
    charger = f"/chargers/{station.path}/"
    session = live.get(f"/api/ocpp/transactions/?charger_id={station.path}")["transaction_logs"][0]
    return {
        "fleet": f"/?search={station.path}",
        "charger": charger,
        "session": f"/transactions/{session['transaction_id']}/",
        "variables": f"{charger}variables/",
        "start": f"{charger}submit/RequestStartTransaction/",
        "set": f"{charger}submit/SetVariables/",
        "batch": "/batches/new/Reset/ocpp2.0.1/",
    }


@pytest.mark.parametrize(("scheme", "viewport", "locale"), [("light", PHONE, "de-DE"), ("dark", WALL, "en-GB")])
def test_every_page_is_accessible_and_has_no_faults(browser, live, station, scheme, viewport, locale):
    folder = os.environ.get("PICTURES")  # where to store pictures of the pages, for a look at them
    with a_page(browser, live, scheme, viewport, locale=locale) as page:
        for name, path in paths_of(station, live).items():
            page.goto(path)
            page.wait_for_load_state("networkidle")
            if folder:
                page.screenshot(path=f"{folder}/{name}-{locale}.png", full_page=True)
            found = Axe().run(page).response["violations"]
            serious = [(fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in SERIOUS]
            assert not serious, path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_a_form_suggests_id_tags_and_fills_in_their_type(browser, live, station):
    tag = an_id().upper()[:30]
    assert live.request("POST", "/api/ocpp/id-tags/", {"id_tag": tag, "type": "eMAID"})[0] == 201
    with a_page(browser, live) as page:
        page.goto(f"/chargers/{station.path}/submit/RequestStartTransaction/")
        page.locator('[name="idToken.idToken"]').press_sequentially(tag[:-1])
        playwright.expect(page.locator("#of-tokens option")).to_have_attribute("value", tag, timeout=10_000)
        page.locator('[name="idToken.idToken"]').press(tag[-1])
        playwright.expect(page.locator('[name="idToken.type"]')).to_have_value("eMAID")
        page.locator('[name="evseId"]').fill("2")
        page.get_by_role("button", name="Send RequestStartTransaction").click()
        sent = station.receive("RequestStartTransaction")
        assert (sent["idToken"], sent["evseId"]) == ({"idToken": tag, "type": "eMAID"}, 2)
        station.answer(status="Accepted")
        playwright.expect(page.locator("#command")).to_contain_text("Accepted")


def test_a_list_within_a_list_gets_items(browser, live, station):
    with a_page(browser, live) as page:
        page.goto(f"/chargers/{station.path}/submit/RequestStartTransaction/")
        page.locator("summary", has_text="chargingProfile").click()
        page.get_by_role("button", name="Add chargingSchedulePeriod").click()
        page.get_by_role("button", name="Add chargingSchedule", exact=True).click()
        names = page.evaluate("[...document.querySelectorAll('[name$=startPeriod]')].map(e => e.name)")
        period = "chargingProfile.chargingSchedule.{}.chargingSchedulePeriod.{}.startPeriod"
        assert names == [period.format(0, 0), period.format(0, 1), period.format(1, 0)]
        page.get_by_role("button", name="Add chargingSchedulePeriod").last.click()
        assert page.locator(f'[name="{period.format(1, 1)}"]').count() == 1


def test_a_variable_is_changed_on_its_page(browser, live, station):
    with a_page(browser, live) as page:
        page.goto(f"/chargers/{station.path}/variables/?search=Enabled")
        page.get_by_role("link", name="Enabled").click()
        page.get_by_label("Value").select_option("false")
        page.get_by_role("button", name="Set value").click()
        (change,) = station.receive("SetVariables")["setVariableData"]
        assert change["attributeValue"] == "false"
        named = {name: change[name] for name in ("component", "variable")}
        station.answer(setVariableResult=[named | {"attributeStatus": "Accepted"}])
        shown = f"/api/ocpp/chargers/{station.path}/variables/?variable=Enabled"
        eventually(lambda: live.get(shown)["results"][0]["value"] == "false")
        page.goto(f"/chargers/{station.path}/variables/?search=Enabled")
        page.get_by_role("link", name="Enabled").click()
        playwright.expect(page.locator("#changes-h + .scroll tbody tr")).to_have_count(1)
