"""The catalogues of translations are complete, and no text of the pages is left out of them."""

import ast
import re
import shutil
import subprocess

import pytest

from core.sentences import PARTS, SENTENCES
from dashboard.templatetags.dashboard import SCRIPT_TEXTS
from tests.support import catalogues
from tests.support.catalogues import LOCALE, PACKAGES, TEMPLATES
from tools.stack.stack import PROJECT

GERMAN = LOCALE / "de" / "LC_MESSAGES"
ENGLISH = LOCALE / "en" / "LC_MESSAGES"
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{[\w.]+\}|</?code>|&\w+;")
# Words of templates that are the same in all languages.
INTERNATIONAL = {"API", "Wh", "kW"}


def german():
    return catalogues.read_po(GERMAN / "django.po")


def test_every_text_has_a_german_translation():
    assert len(german()) > 500
    assert [entry.ids for entry in german() if not all(entry.translations)] == []


def test_no_translation_is_a_guess_or_obsolete():
    found = [line for line in (GERMAN / "django.po").read_text().splitlines() if re.match(r"#,.*fuzzy|#~", line)]
    assert found == []


def test_every_translation_has_the_placeholders_of_its_text():
    def placeholders(text):
        return sorted(set(PLACEHOLDER.findall(text)) - {"&lt;", "&gt;"})

    wrong = [
        (entry.ids[0], text)
        for entry in german()
        for text in entry.translations
        if placeholders(text) not in [placeholders(own) for own in entry.ids]
    ]
    assert wrong == []


def test_texts_and_translations_end_alike():
    """A translation has the final mark of its text, because pages put texts side by side."""
    marks = {
        entry.ids[0]: text
        for entry in german()
        for text in entry.translations
        if (entry.ids[-1][-1] in ".?:…") != (text[-1] in ".?:…")
    }
    assert marks.keys() == {"d", "ID"}  # abbreviations


def test_the_compiled_catalogue_is_that_of_the_text():
    expected = {}
    for entry in german():
        if "msgid_plural" in entry.parts:
            expected |= {(entry.parts["msgid"], n): text for n, text in enumerate(entry.translations)}
        else:
            expected[entry.parts["msgid"]] = entry.parts["msgstr"]
    assert catalogues.read_mo(GERMAN / "django.mo") == expected, "run `make messages`"


def test_the_catalogues_have_the_texts_of_the_code():
    marked = catalogues.marked_texts()
    assert len(marked) > 500
    for folder in (GERMAN, ENGLISH):
        listed = {text for entry in catalogues.read_po(folder / "django.po") for text in entry.ids}
        assert listed == marked, "run `make messages`, and translate what it adds"


def test_english_is_the_language_of_the_texts():
    assert not any(text for entry in catalogues.read_po(ENGLISH / "django.po") for text in entry.translations)


@pytest.mark.skipif(shutil.which("msgfmt") is None, reason="msgfmt is part of gettext")
def test_msgfmt_accepts_the_german_catalogue():
    command = ["msgfmt", "--check-format", "--check-domain", "-o", "/dev/null", str(GERMAN / "django.po")]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_the_image_has_the_catalogues():
    assert "COPY locale locale" in (PROJECT / "Dockerfile").read_text()


# --- texts that are not marked ---------------------------------------------------------------


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_of_a_template_is_marked(path):
    assert set(catalogues.unmarked_texts(path.read_text())) <= INTERNATIONAL


@pytest.mark.parametrize(
    "html", ["<p>Power {{ power }}</p>", '<a title="Open">x</a>', '<input placeholder="Search">']
)
def test_an_unmarked_text_is_found(html):
    assert len(catalogues.unmarked_texts(html)) == 1


def test_marked_texts_and_variables_are_no_unmarked_texts():
    html = (
        '{% translate "Power" %} <b class="s-x" title="{{ a }}">{% blocktranslate %}a {{ b }}{% endblocktranslate %}'
    )
    assert catalogues.unmarked_texts(html) == []


def test_scripts_show_only_texts_that_a_page_gives_them():
    shown = catalogues.script_texts()
    assert {"Live", "{time} ago", "Messages copied: {number}", "from the charger", "Power", "Call"} <= shown
    assert shown <= {str(text) for text in SCRIPT_TEXTS}


# --- sentences of the layers below the pages -------------------------------------------------

# Modules whose sentences a page may show, besides those of commands, and the calls that take a sentence. A warning is
# yielded in `actions`.
SHOWN = (
    *("refusals.py", "acceptance.py", "filters.py", "corrections.py", "export.py", "submission.py", "batches.py"),
    *("creation.py", "schedules.py", "schedule.py", "sealing.py", "diagnosis.py", "handshake.py", "values.py"),
    *("onboarding.py", "power_limits.py", "campaigns.py", "firmware.py", "weekly.py"),
)
CALLS = {
    *("APIException", "Busy", "Conflict", "Fault", "Occupied", "Refused", "TooMany", "Unavailable", "Unreadable"),
    *("ValidationError", "Violation", "_violation"),
}
# From these the code puts sentences together, see COMPOSED.
INCOMPLETE = {
    "Unknown chargers: {}{}.",
    "Leave it out: {}.",
    "{}, that match a time in the future.",
    "{}: correct meter_stop as well.",
    "{}. This is a payload of {}, and the charger speaks {}.",
    "{}: {} So says OCPP 2.0.1.",
    "{}: {} The charger has reported this.",
}


def modules(names):
    """Return the modules with these names below the pages, without the views of REST and the admin."""
    below = [package for package in PACKAGES if package.name != "dashboard"]
    paths = [path for package in below for path in package.rglob("*.py") if path.name in names]
    return [path for path in paths if not {"views", "admin"} & {folder.name for folder in path.parents}]


def raised(tree):
    """Yield the sentences of a module that it raises, yields as warnings, or returns as reasons."""
    for node in ast.walk(tree):
        name = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", ""))
        if isinstance(node, ast.Call) and name in CALLS:
            yield from sentences(node)
        elif isinstance(node, ast.Yield | ast.Return) and node.value is not None:
            yield from sentences(node) if catalogues.text_of(node.value) else ()
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "message":
            yield from sentences(node.value)


def sentences(node):
    """Yield the texts within `node` that are sentences, and no parts of other texts."""
    if (text := catalogues.text_of(node)) is not None:
        if re.match(r"[A-Z{].* .*[.]$", text, re.DOTALL):
            yield catalogues.in_general(text)
        return
    for child in ast.iter_child_nodes(node):
        yield from sentences(child)


def test_every_sentence_that_a_page_may_show_can_be_translated():
    found = modules(SHOWN)
    assert {path.name for path in found} == set(SHOWN)
    found += [catalogues.DASHBOARD / "readiness.py", *PROJECT.glob("commands/actions/**/*.py")]
    listed = {catalogues.in_general(sentence) for sentence in SENTENCES}
    missing = {text for path in found for text in raised(catalogues.tree_of(path)) if text not in listed}
    assert missing - INCOMPLETE == set(), "add them to core.sentences"


def test_every_sentence_that_can_be_translated_is_in_the_code():
    texts = [
        text
        for package in PACKAGES
        for path in package.rglob("*.py")
        if path.name != "sentences.py"
        for text in catalogues.sentences_in(catalogues.tree_of(path))
    ]
    code = "\n".join(texts)
    gone = [text for text in (*SENTENCES, *PARTS) if catalogues.in_general(text) not in code]
    assert set(gone) - COMPOSED == set()


# Sentences that the code puts together from two texts.
COMPOSED = {
    "Unknown chargers: {ids} and {number} more.",
    "Unknown chargers: {ids}.",
    "This server speaks {version}; the charger offered no subprotocol.",
    "This server speaks {version}; the charger offered {offered}.",
    "Leave it out: this URL was not made by this system.",
    "Give five fields: minute hour day month weekday (Sunday is 0), such as `30 3 * * 1-5`, that match a time in the "
    "future.",
    "No meter value is known of the end: correct meter_stop as well.",
    "It is above the stop at {number} Wh: correct meter_stop as well.",
    "It exceeds its budget of {counts}.",
    "So says OCPP 2.0.1.",
    "The charger has reported this.",
}
