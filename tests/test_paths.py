"""The paths of a message and of a command in docs/architecture.md are those that the code takes."""

import json
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from django.db import connection

from tools.stack.stack import PROJECT

PAGE = (PROJECT / "docs/architecture.md").read_text()
ROW = re.compile(r"^\| `([\w/]+\.py)` \| ([^|]+) \|", re.MULTILINE)
MOST = {"message": (25, 12), "command": (55, 20)}  # functions and files


def listed(name):
    """Return the distinct (file, function) pairs of the path `name` in order, and the sentence with its counts."""
    section = PAGE.partition(f"\n## The path of a {name}\n")[2].partition("\n## ")[0]
    pairs = [(path, function) for path, names in ROW.findall(section) for function in re.findall(r"\w+", names)]
    return list(dict.fromkeys(pairs)), re.search(r"It has (\d+) functions in (\d+) files\.", section)


def trace():
    """Return {name of a path: the (file, function) pairs in the order of first calls}, by a script."""
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    env = os.environ | {"DATABASE_URL": database, "API_AUTH": "none", "DEBUG": "1"}
    env["DJANGO_SETTINGS_MODULE"] = "config.settings"
    script = [sys.executable, "-m", "tests.support.trace_paths"]
    done = subprocess.run(script, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return {name: [tuple(pair) for pair in pairs] for name, pairs in json.loads(done.stdout).items()}


@pytest.mark.django_db(transaction=True)
def test_the_functions_of_the_paths_are_passed_in_the_order_of_the_page():
    passed = trace()
    for name in MOST:
        pairs = listed(name)[0]
        assert [pair for pair in passed[name] if pair in pairs] == pairs, name


@pytest.mark.parametrize("name", MOST)
def test_the_counts_of_the_page_are_those_of_its_list(name):
    pairs, counts = listed(name)
    files = {path for path, _ in pairs}
    assert (int(counts[1]), int(counts[2])) == (len(pairs), len(files))
    assert all(number <= most for number, most in zip((len(pairs), len(files)), MOST[name], strict=True))
