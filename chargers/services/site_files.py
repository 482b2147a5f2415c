"""Sites and the chargers at them as CSV: `charger_id`, `site`, and optional columns of the site."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from chargers.models import Charger, Site
from chargers.services import access
from chargers.services.sites import NOT_MOVED, put, refused
from core import zones
from core.http.downloads import text_of_cell

REQUIRED = ("charger_id", "site")
DETAILS = ("address", "latitude", "longitude", "time_zone", "power_limit_w", "offline_minutes")
COLUMNS = (*REQUIRED, *DETAILS)
MAX_LINES = 20_000
MAX_BYTES = 4 * 2**20
DEGREES = re.compile(r"-?[0-9]{1,3}([.,][0-9]{1,15})?")
WATTS = re.compile(r"[0-9]{1,10}")
MINUTES = re.compile(r"[0-9]{1,6}")
NOT_UTF8 = "The file is not UTF-8 text. Save it as CSV UTF-8 in the spreadsheet program."


@dataclass(frozen=True)
class Problem:
    """Why a file is refused: `line` counts from 1, the line of names included; `column` is "" for a whole line."""

    line: int
    column: str
    text: str


@dataclass
class Plan:
    """The effect of a file. With `problems` it has none."""

    problems: list[Problem] = field(default_factory=list)
    places: list[tuple[Charger, Site | None]] = field(default_factory=list)
    new: list[Site] = field(default_factory=list)
    changed: list[Site] = field(default_factory=list)

    @property
    def moved(self) -> list[tuple[Charger, Site | None]]:
        """The chargers that the file puts at another site than now, each with that site."""
        # A new site has no primary key yet, and no charger stands at it.
        return [(charger, site) for charger, site in self.places if _is_elsewhere(charger, site)]


@dataclass
class _Wanted:
    """The details of a site in a file: {column: (text, line)}, and the first line that names it."""

    line: int
    details: dict[str, tuple[str, int]] = field(default_factory=dict)


def _is_elsewhere(charger: Charger, site: Site | None) -> bool:
    return charger.site_id != site.pk or site.pk is None if site else charger.site_id is not None


def read(user: Any, data: bytes) -> Plan:
    """Return what the CSV file `data` would change for `user`. Nothing is stored before `carry_out`.

    A cell of a detail that is empty changes nothing. An empty site puts the charger at no site.
    """
    plan = Plan()
    lines = list(_lines(data, plan.problems))
    if plan.problems:
        return plan
    sites = {site.name: site for site in access.sites(user)}
    reached = access.within(user, Charger.objects.select_related("site"), "pk")
    chargers = {charger.identity: charger for charger in reached}
    wanted = _wanted(lines, plan.problems)
    for name, details in wanted.items():
        sites[name] = _site(user, sites.get(name), name, details, plan)
    own = {site.pk for site in sites.values()}
    seen: dict[str, int] = {}
    for number, cells in lines:
        if charger := _charger(chargers, number, cells["charger_id"], plan.problems):
            if (first := seen.setdefault(charger.identity, number)) != number:
                plan.problems.append(Problem(number, "charger_id", f"{charger} is also in line {first}."))
            if not cells["site"] and charger.site_id not in own:
                continue  # the export shows no site that the user may not see
            plan.places.append((charger, sites[cells["site"]] if cells["site"] else None))
    known = [(charger, site) for charger, site in plan.places if site is None or site.pk]
    plan.problems += [Problem(seen[charger.identity], "site", NOT_MOVED) for charger in refused(user, known)]
    plan.problems.sort(key=lambda problem: problem.line)
    return plan


@transaction.atomic
def carry_out(plan: Plan) -> int:
    """Store the sites of `plan`, put its chargers at them, and return how many stood elsewhere."""
    for site in (*plan.new, *plan.changed):
        site.save()
    return put(plan.places)


def rows(user: Any) -> Iterator[list[Any]]:
    """Yield the rows of a file, in the order of COLUMNS: chargers with their sites, and sites without chargers."""
    reached = access.within(user, Charger.objects.select_related("site"), "pk")
    visible = {site.pk: site for site in access.sites(user)}
    occupied = set()
    for charger in reached.order_by("site__name", "identity"):
        site = visible.get(charger.site_id)
        occupied.add(charger.site_id)
        yield _row(charger.identity, site)
    for site in visible.values():
        if site.pk not in occupied:
            yield _row("", site)


def _row(charger_id: str, site: Site | None) -> list[Any]:
    if site is None:
        return [charger_id, "", *([""] * len(DETAILS))]
    position = [site.latitude, site.longitude]
    return [
        charger_id,
        site.name,
        site.address,
        *position,
        str(site.time_zone),
        site.power_limit_w,
        site.offline_minutes,
    ]


def _lines(data: bytes, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number of the line, {column: text}) of the lines that are not blank; append to `problems`."""
    if len(data) > MAX_BYTES:
        problems.append(Problem(1, "", "The file is too large: the limit is 4 MiB."))
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(Problem(data[: error.start].count(b"\n") + 1, "", NOT_UTF8))
        return
    if "\0" in text:
        problems.append(Problem(text[: text.index("\0")].count("\n") + 1, "", NOT_UTF8))
        return
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if wrong := _wrong_names(names):
            problems.append(wrong)
            return
        yield from _named(names, reader, problems)
    except csv.Error:
        problems.append(Problem(max(reader.line_num, 1), "", "This line is no CSV: look at its quotes."))


def _named(names: list[str], reader: Any, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    for count, cells in enumerate(reader):
        if count >= MAX_LINES:
            problems.append(Problem(reader.line_num, "", f"The file has more than {MAX_LINES} lines."))
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            problems.append(Problem(reader.line_num, "", "This line has more cells than the first line."))
            continue
        named = dict.fromkeys(COLUMNS, "") | dict(zip(names, cells, strict=False))
        yield (
            reader.line_num,
            {name: cell if name == "charger_id" else text_of_cell(cell.strip()) for name, cell in named.items()},
        )


def _wrong_names(names: list[str]) -> Problem | None:
    if missing := [name for name in REQUIRED if name not in names]:
        return Problem(1, "", f"The first line must name the columns. {missing[0]} is missing.")
    if unknown := [name for name in names if name not in COLUMNS]:
        return Problem(1, "", f"There is no column {unknown[0]!r}. Known: {', '.join(COLUMNS)}.")
    if len(set(names)) < len(names):
        return Problem(1, "", "The first line names a column twice.")
    return None


def _wanted(lines: Iterable[tuple[int, dict[str, str]]], problems: list[Problem]) -> dict[str, _Wanted]:
    """Return the sites that the lines name, by name, with their details."""
    found: dict[str, _Wanted] = {}
    for number, cells in lines:
        given = {name: cells[name] for name in DETAILS if cells[name]}
        if not cells["site"]:
            if given:
                problems.append(Problem(number, "site", "This line has details of a site, but no site."))
            continue
        site = found.setdefault(cells["site"], _Wanted(number))
        for name, text in given.items():
            former, line = site.details.setdefault(name, (text, number))
            if former != text:
                problems.append(Problem(number, name, f"Line {line} has another value for this site."))
    return found


def _charger(chargers: dict[str, Charger], number: int, text: str, problems: list[Problem]) -> Charger | None:
    """Return the charger that the cell `text` names, None for an empty cell. An id may begin like a formula."""
    named = (text_of_cell(text), text, text_of_cell(text).strip())
    found = next((chargers[name] for name in named if name in chargers), None)
    if found is None and text.strip():
        problems.append(Problem(number, "charger_id", f"There is no charger {text[:255]}."))
    return found


def _site(user: Any, known: Site | None, name: str, wanted: _Wanted, plan: Plan) -> Site:
    """Return the site `name` with its details of the file, which is noted in `plan` if it is new or changed."""
    site, found = copy(known) if known else Site(name=name), len(plan.problems)
    for column, (text, line) in wanted.details.items():
        try:
            setattr(site, column, _value(column, text))
        except ValidationError as error:
            plan.problems.append(Problem(line, column, error.messages[0]))
    if known and all(getattr(site, column) == getattr(known, column) for column in wanted.details):
        return known
    for column, texts in _invalid(site) if len(plan.problems) == found else ():
        line = wanted.details[column][1] if column in wanted.details else wanted.line
        plan.problems.append(Problem(line, "site" if column == "name" else column, texts[0]))
    if known:
        plan.changed.append(site)
        may = _may(user, "chargers.change_site")
    else:
        plan.new.append(site)
        may = access.reaches_every_charger(user) and _may(user, "chargers.add_site")
    if not may:
        refused = f"You may not change the site {name}." if known else f"There is no site {name}."
        plan.problems.append(Problem(wanted.line, "site", refused))
    return site


def _may(user: Any, permission: str) -> bool:
    return user.has_perm(permission) or not access.has_login() and access.reaches_every_charger(user)


def _invalid(site: Site) -> list[tuple[str, list[str]]]:
    """Return (column, sentences) of what is wrong with the columns of `site`."""
    try:
        site.clean_fields()
        site.clean()
    except ValidationError as error:
        return [*error.message_dict.items()]
    return []


def _value(column: str, text: str) -> Any:
    """Return the value of the cell `text`. Numbers may have a decimal comma. Raises `ValidationError`."""
    if column in ("latitude", "longitude"):
        if not DEGREES.fullmatch(text):
            raise ValidationError("Enter degrees, such as 52.532.")
        return round(Decimal(text.replace(",", ".")), 6)
    if column == "power_limit_w":
        if not WATTS.fullmatch(text):
            raise ValidationError("Enter watts as a whole number.")
        return int(text)
    if column == "offline_minutes":
        if not MINUTES.fullmatch(text):
            raise ValidationError("Enter minutes as a whole number.")
        return int(text)
    if column == "time_zone":
        try:
            return zones.named(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error
    return text
