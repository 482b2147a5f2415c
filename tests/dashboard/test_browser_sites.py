"""The pages of sites in a browser: the map, chargers dragged to a site, the form, a file, and a colleague."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.browser import EXECUTABLE, NONE, PHONE, SERIOUS, TOO_WIDE, WALL, a_page, playwright
from tests.support.live import an_id

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)


@pytest.fixture
def page(browser, live):
    with a_page(browser, live) as opened:
        yield opened


def made(live, prefix, **columns):
    """(primary key, name) of a new site."""
    name = f"{prefix} {an_id()}"
    status, site, _ = live.request("POST", "/api/ocpp/sites/", {"name": name, **columns})
    assert status == 201, site
    return site["id"], name


def placed(live, charger_id):
    """The name of the site of a charger, None without one."""
    rows = live.rows(
        "SELECT s.name FROM chargers_charger c LEFT JOIN chargers_site s ON s.id = c.site_id WHERE c.identity = %s",
        charger_id,
    )
    return rows[0][0]


def has(locator, text):
    playwright.expect(locator).to_contain_text(text, timeout=15_000)


@pytest.fixture
def depot(live):
    return made(live, "Depot", latitude="52.532", longitude="13.38", time_zone="Europe/Berlin")


def test_the_map_shows_sites_and_follows_the_state_of_their_chargers(page, live, depot):
    pk, name = depot
    charger_id = an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "site": pk})
    page.goto(f"/sites/?search={name.split()[1]}")
    playwright.expect(page.locator("#map[data-drawn] .land")).to_have_count(1)
    mark = page.locator(".marks a")
    playwright.expect(mark).to_have_count(1)
    assert mark.get_attribute("href") == f"/sites/{pk}/"
    with live.charger(charger_id):
        playwright.expect(page.locator(".marks a.s-available")).to_have_count(1, timeout=15_000)
    playwright.expect(page.locator(".marks a.s-offline")).to_have_count(1, timeout=15_000)
    has(page.locator("#grid"), "Offline")
    has(mark.locator("title"), f"{name}: Offline")
    mark.locator("text").first.click()
    has(page.locator("h1"), name)


def test_near_sites_are_one_circle_until_the_map_is_zoomed(page, live):
    word = an_id()
    for number in range(2):
        made(live, word, latitude="52.5", longitude=f"13.{number}")
    made(live, word, latitude="-33.9", longitude="151.2")
    page.goto(f"/sites/?search={word}")
    playwright.expect(page.locator(".marks .cluster")).to_have_count(1)
    playwright.expect(page.locator(".marks a")).to_have_count(1)
    page.locator(".marks .cluster text").first.click()
    playwright.expect(page.locator(".marks a")).to_have_count(2)
    page.get_by_label("Show all sites").click()
    playwright.expect(page.locator(".marks .cluster")).to_have_count(1)


def test_the_map_is_moved_and_zoomed_by_hand(page, depot):
    page.goto(f"/sites/?search={depot[1].split()[1]}")
    at = page.locator("#map").bounding_box()
    middle = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
    before = page.locator(".marks a").bounding_box()
    page.mouse.move(middle[0] + 60, middle[1] + 60)
    page.mouse.down()
    page.mouse.move(middle[0] + 100, middle[1] + 20, steps=4)
    page.mouse.up()
    after = page.locator(".marks a").bounding_box()
    assert round(after["x"] - before["x"]) == 40
    assert round(after["y"] - before["y"]) == -40
    assert page.url.endswith(f"search={depot[1].split()[1]}")
    scale = page.locator(".base").get_attribute("transform")
    page.get_by_label("Zoom in").click()
    assert page.locator(".base").get_attribute("transform") != scale


def test_a_charger_is_dragged_to_a_site(page, live, depot):
    charger_id = an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id})
    page.goto(f"/sites/place/?search={charger_id}")
    target = page.locator(f".target[value='{depot[0]}']")
    page.locator("li", has_text=charger_id).drag_to(target)
    has(page.locator(".notice"), "Chargers moved: 1")
    assert placed(live, charger_id) == depot[1]


def test_chargers_are_put_at_a_site_by_the_keyboard(page, live, depot):
    charger_id = an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id})
    page.goto(f"/sites/place/?search={charger_id}")
    page.locator("input[name=charger]").focus()
    page.keyboard.press("Space")
    page.locator("select[name=to]").select_option(str(depot[0]))
    page.get_by_role("button", name="Put there").press("Enter")
    has(page.locator(".notice"), "Chargers moved: 1")
    assert placed(live, charger_id) == depot[1]


def test_all_chargers_of_a_search_are_put_at_a_site_from_the_fleet(page, live, depot):
    word = an_id()
    for number in range(3):
        live.request("POST", "/api/ocpp/chargers/", {"charger_id": f"{word}-{number}"})
    page.goto(f"/?search={word}")
    page.get_by_role("link", name="Put 3 chargers at a site…").click()
    page.locator("input[name=all]").check()
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator(f".target[value='{depot[0]}']").click()
    has(page.locator(".notice"), "Chargers moved: 3")
    assert {placed(live, f"{word}-{number}") for number in range(3)} == {depot[1]}


def test_a_site_is_added_with_its_place_picked_on_the_map(page, live):
    name = f"New {an_id()}"
    page.goto("/sites/")
    page.get_by_role("link", name="Add site…").click()
    page.locator("[name=name]").fill(name)
    page.locator("[name=time_zone]").select_option("Europe/Berlin")
    at = page.locator("#map").bounding_box()
    page.mouse.click(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    playwright.expect(page.locator("[name=latitude]")).not_to_have_value("")
    playwright.expect(page.locator(".marks circle")).to_have_count(1)
    page.get_by_role("button", name="Save").click()
    has(page.locator("h1"), name)
    (row,) = live.rows("SELECT longitude, latitude FROM chargers_site WHERE name = %s", name)
    assert abs(row[0]) < 1
    assert 30 < row[1] < 60


def test_a_file_is_checked_and_stored(page, live):
    charger_id, name = an_id(), f"Depot {an_id()}"
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id})
    page.goto("/sites/import/")

    def choose(text):
        page.locator("[type=file]").set_input_files(
            {"name": "x.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        page.get_by_role("button", name="Check file").click()

    choose(f"charger_id,site\n{charger_id},{name}\nnobody,{name}\n")
    has(page.locator("tbody"), "There is no charger nobody.")
    choose(f'charger_id,site,address\n{charger_id},{name},"a\nb"\n')
    has(page.locator("main"), "1 charger is moved.")
    page.get_by_role("button", name="Store").click()
    has(page.locator(".notice"), "Chargers moved: 1")
    assert placed(live, charger_id) == name


def test_the_page_of_a_site_follows_its_chargers(page, live, depot):
    charger_id = an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "site": depot[0]})
    page.goto(f"/sites/{depot[0]}/")
    playwright.expect(page.locator("#live")).to_have_text("Live")
    with live.charger(charger_id):
        has(page.locator(".tile .state"), "Available")
        playwright.expect(page.locator(".marks a.s-available")).to_have_count(1, timeout=15_000)


@pytest.mark.parametrize(
    ("scheme", "viewport", "locale"), [("light", PHONE, "en-GB"), ("dark", WALL, "en-GB"), ("light", PHONE, "de-DE")]
)
def test_pages_of_sites_are_accessible_and_fit(browser, live, depot, scheme, viewport, locale):
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": an_id() + "x" * 100, "site": depot[0]})
    paths = ("", f"{depot[0]}/", f"{depot[0]}/edit/", "new/", "place/", "import/")
    with a_page(browser, live, scheme, viewport, locale=locale) as opened:
        for path in [*(f"/sites/{path}" for path in paths), "/?group=site"]:
            opened.goto(path)
            opened.wait_for_load_state("networkidle")
            found = Axe().run(opened).response["violations"]
            serious = [(fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in SERIOUS]
            assert not serious, path
            assert opened.evaluate(TOO_WIDE) == [], path
