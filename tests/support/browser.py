"""Browser of the tests and screenshots: Chromium or Chrome from the system."""

import shutil
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api as playwright

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NONE = "Chromium not found. Install it (Debian: apt install chromium)."
NARROW = {"width": 360, "height": 740}
PHONE, WALL = {"width": 390, "height": 844}, {"width": 1440, "height": 1000}


def launch(started):
    """Launch Chromium by a started `sync_playwright()`; without the sandbox, which fails in containers."""
    return started.chromium.launch(executable_path=EXECUTABLE, args=["--no-sandbox"])


def log_in(page, live):
    page.goto("/")
    page.locator("[name=username]").fill("admin")
    page.locator("[name=password]").fill(live.stack.password)
    page.locator(".login button").click()
    playwright.expect(page.locator("#live")).to_have_text("Live")


@contextmanager
def a_page(browser, live, scheme="light", viewport=WALL, may_fail=False, locale="en-GB"):
    """Yield a page of a logged-in user; then assert no console errors and no requests to other hosts.

    The browser has another time zone than the server. With `may_fail`, requests may fail.
    """
    options = {"color_scheme": scheme, "viewport": viewport, "timezone_id": "Asia/Tokyo", "locale": locale}
    context = browser.new_context(base_url=live.url, **options)
    page = context.new_page()
    faults = []
    page.on("console", lambda entry: faults.append(entry.text) if is_fault(entry, may_fail) else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: urlsplit(request.url).hostname in LOCAL_HOSTS or faults.append(request.url))
    log_in(page, live)
    try:
        yield page
    finally:
        context.close()
    assert not faults


def is_fault(entry, may_fail):
    """Return whether a console entry is an unexpected error or warning; status 400 of a form is expected."""
    expected = "Failed to load resource" if may_fail else "400 (Bad Request)"
    return entry.type in ("error", "warning") and expected not in entry.text


LOCAL_HOSTS = ("127.0.0.1", "localhost", None)  # None: data: and blob:


def has(locator, text):
    playwright.expect(locator).to_contain_text(text, timeout=15_000)


def wait_until(page, condition):
    """Wait in the event loop of the page, which calls the routes of the test."""
    for _ in range(150):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("did not become true in time")


SERIOUS = ("serious", "critical")
# Elements that make a page wider than its window, except those that scroll themselves.
TOO_WIDE = """document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
    .filter(e => !e.closest('.scroll, nav, .curve') && e.getBoundingClientRect().right > innerWidth)
    .map(e => e.outerHTML.slice(0, 100)).concat(document.documentElement.scrollWidth)"""


def check(page, path=None):
    """Assert that a page is accessible and fits on the phone."""
    if path:
        page.goto(path)
    page.wait_for_load_state("networkidle")
    found = Axe().run(page).response["violations"]
    serious = [(fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in SERIOUS]
    assert not serious, page.url
    assert page.evaluate(TOO_WIDE) == [], page.url
