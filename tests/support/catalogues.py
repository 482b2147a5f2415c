"""Read catalogues of translations, and find the texts of the pages in the code, in templates and in scripts."""

import ast
import re
import tokenize
from dataclasses import dataclass, field
from gettext import GNUTranslations
from html.parser import HTMLParser
from pathlib import Path

from django.utils.translation.template import templatize

from tools.stack.stack import PROJECT

LOCALE = PROJECT / "locale"
PACKAGES = [folder for folder in PROJECT.iterdir() if (folder / "__init__.py").exists() and folder.name != "tests"]
DASHBOARD = PROJECT / "dashboard"
TEMPLATES = sorted((DASHBOARD / "templates").rglob("*.html"))
SCRIPTS = [path for path in sorted((DASHBOARD / "static").rglob("*.js")) if not path.name.startswith("uplot")]
LINE = re.compile(r'(msgid|msgid_plural|msgstr(?:\[\d\])?) (".*")|(".*")')


@dataclass
class Entry:
    """One entry of a catalogue: `parts` is {"msgid": text, "msgstr": text, …}."""

    parts: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    @property
    def ids(self):
        return [text for name, text in self.parts.items() if name.startswith("msgid")]

    @property
    def translations(self):
        return [text for name, text in self.parts.items() if name.startswith("msgstr")]


def read_po(path):
    """Return the entries of a .po file, without its header."""
    entries = [_entry(block.splitlines()) for block in path.read_text().split("\n\n")]
    return [entry for entry in entries if entry.parts and entry.parts["msgid"]]


def _entry(lines):
    entry, name = Entry(), ""
    for line in lines:
        if line.startswith("#"):
            entry.comments.append(line)
        elif found := LINE.fullmatch(line):
            name = found[1] or name
            entry.parts[name] = entry.parts.get(name, "") + ast.literal_eval(found[2] or found[3])
    return entry


def read_mo(path):
    """Return {msgid, or (msgid, number of the plural form): translation} of a .mo file, without its header."""
    with path.open("rb") as file:
        catalogue = GNUTranslations(file)._catalog
    return {key: text for key, text in catalogue.items() if key}


# --- texts in the code -----------------------------------------------------------------------

# Functions that mark texts: how many of their first arguments are texts.
MARKS = {"gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "_": 1, "ngettext": 2, "ngettext_lazy": 2}


def marked_texts():
    """Return the texts that Python code and templates mark for translation."""
    files = [path for package in PACKAGES for path in sorted(package.rglob("*.py"))]
    in_code = {text for path in files for text in _marked(ast.parse(path.read_text()))}
    in_templates = {text for path in TEMPLATES for text in _marked_in_template(path)}
    return in_code | in_templates


def _marked(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS:
            texts = node.args[: MARKS[node.func.id]]
            yield from (text.value for text in texts if isinstance(text, ast.Constant))


LITERAL = r"""u('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
TEMPLATE_MARK = re.compile(rf"\bn?gettext\({LITERAL}(?:, *{LITERAL})?", re.DOTALL)


def _marked_in_template(path):
    """Django turns a template into calls of gettext, from which xgettext, too, reads the texts."""
    found = TEMPLATE_MARK.finditer(templatize(path.read_text()))
    return {ast.literal_eval(literal) for call in found for literal in call.groups() if literal}


# --- unmarked texts in templates -------------------------------------------------------------

MARKED = re.compile(r"{% blocktranslate.*?{% endblocktranslate %}|{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
SHOWN_ATTRIBUTES = ("alt", "aria-label", "data-confirm", "placeholder", "title")


class ShownTexts(HTMLParser):
    """Collect the texts of a page that a user sees or hears, without those of `skipped` elements."""

    def __init__(self, skipped=("script", "style")):
        super().__init__()
        self.skipped, self.depth, self.texts = skipped, 0, []

    def handle_starttag(self, tag, attributes):
        self.depth += tag in self.skipped
        self.texts += [value for name, value in attributes if name in SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag):
        self.depth -= tag in self.skipped

    def handle_data(self, data):
        if not self.depth:
            self.texts.append(data)


def shown_texts(html, **options):
    parser = ShownTexts(**options)
    parser.feed(html)
    parser.close()
    return parser.texts


def unmarked_texts(template):
    """Return the words in the text of a template that are neither marked nor variable."""
    texts = shown_texts(MARKED.sub(lambda found: " ", template))
    return [word for text in texts for word in re.findall(r"[^\W\d_]{2,}", text)]


SCRIPT_TEXT = re.compile(r"""(?:translated|text)\((?:[^()"]*\? )?"([^"]+)"(?: : "([^"]+)")?""")


SCRIPT_TABLE = re.compile(r"const (?:labels|kinds) = \{([^}]*)\}")


def script_texts():
    """Return the texts that scripts show by `translated(…)`, or by `text(…)` for those that the admin uses, too."""
    code = "".join(path.read_text() for path in SCRIPTS)
    in_tables = {text for table in SCRIPT_TABLE.findall(code) for text in re.findall(r'"([^"]*)"', table)}
    return in_tables | {text for found in SCRIPT_TEXT.finditer(code) for text in found.groups() if text}


# --- sentences below the pages ---------------------------------------------------------------


def in_general(text):
    """Replace each `{name}` of a sentence, so that sentences with other names are equal."""
    return re.sub(r"\{[^{}]*\}", "{}", text)


def sentences_in(tree):
    """Return the texts in a syntax tree: constants, and f-strings in which constants of the module are replaced."""
    known = {
        target.id: text_of(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and text_of(node.value) is not None
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [in_general(text) for node in ast.walk(tree) if (text := text_of(node, known)) is not None]


def text_of(node, known=None):
    """Return the text of a constant or of an f-string, with `{}` for its expressions; None for another node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(part, known or {}) for part in node.values)
    return None


def _part(part, known):
    if isinstance(part, ast.Constant):
        return part.value
    is_known = isinstance(part.value, ast.Name) and part.value.id in known
    return str(known[part.value.id]) if is_known else "{}"


def tree_of(path: Path):
    with tokenize.open(path) as file:
        return ast.parse(file.read())
