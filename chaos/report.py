"""The figures in words, between two marks of docs/reliability.md."""

import statistics
from datetime import UTC, datetime

from bench.report import machine, versions
from chaos import checks
from config.stack.stack import PROJECT

PAGE = PROJECT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make chaos: begin -->", "<!-- written by make chaos: end -->"


def text(chaos):
    """A row a scenario: figures summed over its rounds; then what each noted, and what the load was."""
    head = ["scenario", "rounds", *checks.FIGURES, "full service after (s)"]
    lines = [_row(head), _row("---" for _ in head)]
    for name, rounds in chaos.results.items():
        sums = [sum(figures[what] for figures in rounds) for what in checks.FIGURES]
        served = ", ".join("**not**" if f["full service"] is None else f"{f['full service']:.1f}" for f in rounds)
        lines.append(_row([name, len(rounds), *(f"**{n}**" if n else 0 for n in sums), served]))
    meaning = "; ".join(f"*{what}*: {meant}" for what, meant in checks.FIGURES.items())
    return "\n".join([*_head(chaos), "", *lines, "", f"{meaning[0].upper()}{meaning[1:]}.", "", *_notes(chaos)])


def _row(cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _head(chaos):
    books = [charger.books for charger in chaos.fleet.chargers.values()]
    yield f"Seen on {datetime.now(UTC):%Y-%m-%d} by `make chaos`; full service counts from the end of the fault."
    yield ""
    yield f"- {machine()}"
    yield f"- {versions(chaos.stack)}"
    acknowledged = sum(own.acknowledged for own in books)
    yield f"- {len(books)} chargers charged all the time: {acknowledged:,} messages acknowledged, each looked up"
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in chaos.outcomes.most_common())
    refused = f"{chaos.commanding.refused:,} more were not taken, and so owed nothing"
    yield f"- {sum(chaos.outcomes.values()):,} commands asked for: {outcomes}; {refused}"
    yield f"- {chaos.faults:,} messages were answered with a CALLERROR"


def _notes(chaos):
    for name, notes in chaos.notes.items():
        for what, each in notes.items():
            shown = statistics.median(each)
            yield f"- {name}: {what} {', '.join(map(str, each))}" if len(each) < 9 else f"- {name}: {what} {shown}"


def write(written):
    """Put it between the marks."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{after}")
