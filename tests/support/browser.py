"""Browser of the tests and screenshots: Chromium or Chrome from the system."""

import shutil

from playwright import sync_api as playwright

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NONE = "Chromium not found. Install it (Debian: apt install chromium)."
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
