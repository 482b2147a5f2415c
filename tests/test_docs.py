"""The documents are correct: links have targets, all settings are listed, and the Python examples run."""

import os
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from chargers.services import webhooks

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NOT_OF_SETTINGS = {"TLS_PORT"}  # only the stack reads it

PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def prose(page):
    return FENCED.sub("", page.read_text())


def anchors(page):
    """The anchors that GitHub generates from headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page):
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if path.startswith(("http:", "https:", "mailto:")):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page):
    assert list(dead_links(page)) == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One title, here\n[a](#one-title-here) [b](#two) [c](none.md) [d](page.md#one-title-here)\n")
    assert list(dead_links(page)) == ["#two", "none.md"]


def documented():
    table = (ROOT / "docs/operations.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}


def read():
    text = (ROOT / "config/settings.py").read_text()
    return set(re.findall(r'(?:_read\(\s*env\.\w+,|(?:_positive|_from_zero|_days)\()\s*"([A-Z_]+)"', text))


def test_every_setting_is_documented_and_every_documented_one_is_read():
    assert documented() - NOT_OF_SETTINGS == read()


def python_of(name):
    return "\n".join(PYTHON.findall((ROOT / "docs" / name).read_text()))


def test_the_python_of_the_rest_guide_runs(live):
    with live.charger("505", Reset={"status": "Accepted"}):
        environment = os.environ | {"OCPP_URL": live.url}
        ran = subprocess.run(
            [sys.executable, "-c", python_of("rest.md")], capture_output=True, text=True, env=environment, timeout=60
        )
    assert ran.returncode == 0, ran.stderr
    for text in ("answered Accepted", "the charger said Accepted", "505 True", "Wh", "charger.online", "400 type:"):
        assert text in ran.stdout


def test_the_receiver_in_the_guide_accepts_genuine_webhooks_only():
    namespace = {}
    exec(PYTHON.findall((ROOT / "docs/rest.md").read_text().partition("## Webhooks")[2])[0], namespace)
    secret, body = "whsec_" + b64encode(b"x" * 24).decode(), b'{"id":1}'
    headers = webhooks.signed(secret, "event_1", body)
    assert namespace["is_genuine"](secret, headers, body)
    assert not namespace["is_genuine"](secret, headers, body + b" ")
    assert not namespace["is_genuine"](secret, webhooks.signed(secret, "event_1", body, at=1), body)
