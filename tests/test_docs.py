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


# --- names of code -----------------------------------------------------------------------------

PACKAGES = ("tools", "config", "dashboard", "gateway", "commands", "transactions", "chargers", "core", "tests")
WRITTEN = re.compile(r"<!-- written by .*?: begin -->.*?: end -->", re.DOTALL)  # by a measurement
FILE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|html|js|cfg|toml|yml))`")
FOLDER = re.compile(rf"`((?:{'|'.join(PACKAGES)})/[\w/]*)`")
MODULE = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?:\([^`]*\))?`")
# Texts with dots that are no modules: permissions, Celery tasks, paths of REST.
NO_MODULE = re.compile(r"\w+\.(?:view|add|change|delete)_\w+|commands\.(?:maintain|run_schedule|[A-Z]\w*)")
NO_FOLDER = re.compile(r"(?:chargers|transactions)/\d.*")
STATED = re.compile(
    r"^Date: \d{4}-\d\d-\d\d\nStatus: (Accepted|Superseded by \[(\d{4})\]\(\2-[\w-]+\.md\))\n", re.MULTILINE
)


def exists(name, page):
    """Whether the file or folder is one of the project, also if it is named without its first folders."""
    return (
        (ROOT / name).exists() or (page.parent / name).exists() or (ROOT / "tests" / name).exists() or name in BY_NAME
    )


BY_NAME = {path.name for package in (*PACKAGES, "docs") for path in (ROOT / package).rglob("*.*")}


def is_module(name):
    """Whether `name` is a module, or a name that is defined in one."""
    *packages, last = name.split(".")
    path = ROOT.joinpath(*packages)
    if (path / last).is_dir() or (path / f"{last}.py").exists():
        return True
    module = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    return module.exists() and re.search(rf"^(?:def |class |async def )?{last}\b", module.read_text(), re.MULTILINE)


def unknown_names(page):
    """Yield the files, folders and modules that a page names and that do not exist."""
    text = WRITTEN.sub("", page.read_text())
    if page.name == "contributing.md":  # its excerpts create files
        text = re.sub(r"`[\w/]*ocpp21[\w/.]*`", "", text)
    yield from (name for name in FILE.findall(text) if not exists(name, page))
    yield from (name for name in FOLDER.findall(text) if not exists(name, page) and not NO_FOLDER.fullmatch(name))
    yield from (name for name in MODULE.findall(text) if not is_module(name) and not NO_MODULE.fullmatch(name))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_named_file_and_module_exists(page):
    assert sorted(set(unknown_names(page))) == []


def test_an_unknown_name_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`chargers/none.py` `gateway/none/` `gateway.none.Thing` `gateway/calls.py` `core.db.bulk_sql.execute`\n"
    )
    assert list(unknown_names(page)) == ["chargers/none.py", "gateway/none/", "gateway.none.Thing"]


@pytest.mark.parametrize("record", sorted(ROOT.glob("docs/decisions/*.md")), ids=lambda record: record.name)
def test_every_decision_has_a_date_and_a_status(record):
    text = record.read_text()
    assert text.startswith(f"# {int(record.name[:4])}. ")
    stated = STATED.search(text)
    assert stated and (stated[2] is None or list(record.parent.glob(f"{stated[2]}-*.md")))
