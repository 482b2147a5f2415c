"""No text of the project has a word that docs/glossary.md bans."""

import re
import subprocess

from tools.stack.stack import PROJECT

GLOSSARY = "docs/glossary.md"
TEXTS = ("*.py", "*.html", "*.js", "*.md", "*.txt", "*.yml", "*.toml", "*.sh", "Makefile", "Dockerfile")


def banned():
    page = (PROJECT / GLOSSARY).read_text()
    return page.partition("```banned\n")[2].partition("```")[0].splitlines()


def texts():
    listed = subprocess.run(["git", "ls-files", *TEXTS], cwd=PROJECT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if name != GLOSSARY]


def lines(name):
    """(number, line) of a file, without reports that a measurement has written: they quote log lines."""
    text = (PROJECT / name).read_text()
    written = re.sub(
        r"<!-- written by .*?: begin -->.*?: end -->", lambda part: "\n" * part[0].count("\n"), text, flags=re.S
    )
    return enumerate(written.splitlines(), 1)


def test_no_text_has_a_banned_word():
    words = banned()
    assert len(words) > 20
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in words), re.IGNORECASE)
    found = [
        f"{name}:{number}: {match[0]}"
        for name in texts()
        for number, line in lines(name)
        if (match := pattern.search(line))
    ]
    assert not found, f"{len(found)} lines: " + "; ".join(found[:40])
