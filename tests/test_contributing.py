"""The page for contributors is true: its files and functions exist, and its examples work as they stand."""

import ast
import os
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.db import connection

from tools.stack.stack import PROJECT

PAGE = (PROJECT / "docs/contributing.md").read_text()
EXCERPT = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PROSE = FENCED.sub("", PAGE)
COPIED = ("tools", "config", "dashboard", "gateway", "commands", "transactions", "chargers", "core", "tests/support")
PATH = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.\w+)?|\.ci/run)`")
IN_FILE = re.compile(r"((?:`\w+`(?: and |, )?)+) in\s+`([\w/]+\.py)`")
MEMBERS = {
    "core/ocpp/versions/base.py": (
        "idempotent recorded before_acceptance secrets essentials not_while_pending frame_codes error_codes"
    ),
    "commands/actions/base.py": "complete check submitted answered not_answered",
    "chargers/models/charger.py": "REPORTED_FIELDS OPERATOR_FIELDS OF_SOCKET",
    "gateway/consumer.py": "use_settings",
}


def defined(path):
    """Return the names of the functions, classes and variables that a file defines, at any depth."""
    nodes = list(ast.walk(ast.parse((PROJECT / path).read_text())))
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return names | {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def test_every_named_file_exists():
    named = set(PATH.findall(PROSE))
    created = {path for _, path, _ in EXCERPT.findall(PAGE)}
    assert len(named) > 20
    assert [path for path in sorted(named - created) if not (PROJECT / path).exists()] == []


def test_every_named_function_exists():
    pairs = [
        (name, path)
        for names, path in IN_FILE.findall(PROSE)
        for name in re.findall(r"\w+", names.replace(" and ", " "))
    ]
    pairs += [(name, path) for path, names in MEMBERS.items() for name in names.split()]
    assert len(pairs) > 20
    assert [(name, path) for name, path in pairs if name not in defined(path)] == []


def test_every_named_member_is_on_the_page():
    assert [name for names in MEMBERS.values() for name in names.split() if f"`{name}`" not in PROSE] == []


def copied(folder):
    """Copy the packages to `folder`, and return it."""
    for name in COPIED:
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "tests/__init__.py", folder / "tests/__init__.py")
    return folder


def apply(folder, kind, path, text):
    """Append an excerpt of Python to its file, or replace the lines of a diff, which must be there once."""
    file = folder / path
    file.parent.mkdir(exist_ok=True)
    former = file.read_text() if file.exists() else ""
    if kind == "python":
        file.write_text(former + text)
        return
    lines = [line or " " for line in text.splitlines()]
    old = "\n".join(line[1:] for line in lines if line[0] in " -")
    new = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert former.count(old) == 1, f"{path} does not have these lines once: {old}"
    file.write_text(former.replace(old, new))


def test_a_diff_that_does_not_fit_is_found(tmp_path):
    (tmp_path / "a.py").write_text("a = 1\n")
    with pytest.raises(AssertionError, match="does not have"):
        apply(tmp_path, "diff", "a.py", "-b = 1\n+b = 2\n")
    apply(tmp_path, "diff", "a.py", " a = 1\n+b = 2\n")
    assert (tmp_path / "a.py").read_text() == "a = 1\nb = 2\n"


@pytest.mark.django_db(transaction=True)
def test_the_version_the_message_and_the_command_of_the_page_work(tmp_path):
    folder = copied(tmp_path)
    excerpts = EXCERPT.findall(PAGE)
    assert len(excerpts) >= 12
    for excerpt in excerpts:
        apply(folder, *excerpt)
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    env = os.environ | {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings"}
    script = [sys.executable, "-m", "tests.support.follow_contributing"]
    done = subprocess.run(script, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "followed: The charger speaks ocpp2.1, which has no command ClearCache." in done.stdout
