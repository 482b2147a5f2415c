"""Fixtures of the tests of pages."""

import pytest

from tests.support.browser import launch, playwright


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = launch(started)
        yield opened
        opened.close()
