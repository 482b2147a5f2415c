"""Read rows from a mysqldump or mariadb-dump file as a stream, without a server and in little memory."""

import gzip
import re
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import TextIO, cast

# A name, a column of CREATE TABLE, the head of an INSERT, and the values between its parentheses.
CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?`([^`]+)` \(")
COLUMN = re.compile(r"\s+`([^`]+)` ")
INSERT = re.compile(r"(?:INSERT|REPLACE)(?: IGNORE)? INTO `([^`]+)`\s*(?:\(([^)]*)\)\s*)?VALUES")
TOKEN = re.compile(
    r"\s*(?:(?P<sign>[(),;])"
    r"|(?:_\w+ *)?'(?P<text>[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+)'(?=[^'])"
    r"|(?P<word>[^\s(),;'\\]++)(?=[\s(),;]))",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
# MySQL's escapes; a backslash before another character is dropped, but stays before % and _.
MEANS = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
QUOTED = re.compile(r"\\.|[^'\\]+", re.DOTALL)
# The first and last lines of mysqldump and mariadb-dump, unless --skip-comments is given.
BEGUN, COMPLETED = re.compile(r"-- (?:MySQL|MariaDB) dump "), re.compile(r"-- Dump completed")
UTC_SET = re.compile(r"SET TIME_ZONE\s*=\s*'\+00:00'", re.IGNORECASE)


Columns = dict[str, str | None]  # {column: its text, None for NULL}


class Unreadable(Exception):
    """The file is not as mysqldump writes it; the text says where, and what to do."""


def opened(path: str | Path) -> TextIO:
    """Yield the lines of the dump at `path` (.sql or .sql.gz). Bytes that are not UTF-8 become surrogates."""
    how = gzip.open if str(path).endswith(".gz") else open
    return cast(TextIO, how(path, "rt", encoding="utf-8", errors="surrogateescape", newline="\n"))


class Dump:
    """The rows of some tables: iterate for (table, number of the line, {column: text or None}), in the dump's order.

    `is_utc` says, from then on, that its timestamps are: mysqldump sees to it unless --skip-tz-utc is given.
    """

    def __init__(self, lines: Iterable[str], tables: Container[str]) -> None:
        self.lines, self.tables = iter(lines), tables
        self.line, self.is_utc = 0, False
        self.columns: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[tuple[str, int, Columns]]:
        table: str | None = None
        is_open = False
        for line in self._numbered():
            is_open = (is_open or BEGUN.match(line) is not None) and not COMPLETED.match(line)
            if insert := INSERT.match(line):
                yield from self._insert(insert, line)
            elif create := CREATE.match(line):
                table = create[1]
                self.columns[table] = []
            elif table and (column := COLUMN.match(line)):
                self.columns[table].append(column[1])
            elif line.startswith(")"):
                table = None
            elif UTC_SET.search(line):
                self.is_utc = True
        if is_open:
            raise Unreadable(f"Line {self.line}: the dump was cut off: its last line is not `-- Dump completed`.")

    def _numbered(self) -> Iterator[str]:
        for line in self.lines:
            self.line += 1
            yield line

    def _insert(self, insert: re.Match[str], line: str) -> Iterator[tuple[str, int, Columns]]:
        table = insert[1]
        if table not in self.tables:
            self._skip(line[insert.end() :])
            return
        columns = re.findall(r"`([^`]+)`", insert[2] or "") or self.columns.get(table)
        if not columns:
            raise Unreadable(
                f"Line {self.line}: {table} has no CREATE TABLE before its rows: dump it with its schema."
            )
        self.columns.setdefault(table, columns)
        for row in self._tuples(line[insert.end() :]):
            if len(row) != len(columns):
                raise Unreadable(f"Line {self.line}: a row of {table} has {len(row)} values, not {len(columns)}.")
            yield table, self.line, dict(zip(columns, row, strict=True))

    def _skip(self, text: str) -> None:
        """Skip to the end of a statement. The end of a line within a quoted text does not end it."""
        is_open = False
        while True:
            is_open ^= bool(len(QUOTED.sub("", text)) % 2)
            if not is_open and text.rstrip().endswith(";"):
                return
            text = self._more("")

    def _tuples(self, text: str) -> Iterator[list[str | None]]:
        row: list[str | None] | None = None
        at = 0
        while True:
            token = TOKEN.match(text, at)
            if token is None:
                text, at = self._more(text[at:]), 0
                continue
            at = token.end()
            if token["sign"] == ";":
                return
            if token["sign"] == "(":
                row = []
            elif row is not None and token["sign"] == ")":
                yield row
            elif row is not None and token["sign"] is None:
                row.append(_value(token))

    def _more(self, text: str) -> str:
        line = next(self.lines, None)
        if line is None:
            raise Unreadable(f"Line {self.line}: the dump ends in the midst of a statement: it was cut off.")
        self.line += 1
        return text + line


def _value(token: re.Match[str]) -> str | None:
    """Return the text, or None for NULL; numbers stay texts."""
    if (text := token["text"]) is not None:
        return ESCAPE.sub(_meant, text) if "\\" in text or "'" in text else text
    word: str = token["word"]
    if word.startswith("0x"):  # --hex-blob
        return bytes.fromhex(word[2:]).decode("utf-8", "surrogateescape")
    return None if word.upper() == "NULL" else word


def _meant(escape: re.Match[str]) -> str:
    return "'" if escape[1] is None else MEANS.get(escape[1], escape[1])
