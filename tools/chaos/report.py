"""The figures in words, between two marks of docs/reliability.md."""

import statistics
from collections import Counter
from datetime import UTC, datetime

from tools.bench.report import machine, versions
from tools.chaos import checks
from tools.stack.stack import PROJECT

PAGE = PROJECT / "docs" / "reliability.md"
OTHERS = "how long chargers that the fault does not concern waited, before it and until full service (all chargers, \
where it concerns all)"
OPERATOR_VIEW = "What the operator saw, from the beginning of the fault (of the last round):"
BEGIN, END = "<!-- written by make chaos: begin -->", "<!-- written by make chaos: end -->"


def text(chaos):
    """Return one row per scenario, with figures summed over its rounds; then the notes and the operator's view."""
    head = ["scenario", "rounds", *checks.FIGURES, "full service after (s)", "p99 of others (s)"]
    lines = [_row(head), _row("---" for _ in head)]
    for name, rounds in chaos.results.items():
        sums = [sum(figures[what] for figures in rounds) for what in checks.FIGURES]
        served = ", ".join("**not**" if f["full service"] is None else f"{f['full service']:.1f}" for f in rounds)
        zeros = [f"**{n}**" if n else 0 for n in sums]
        lines.append(_row([name, len(rounds), *zeros, served, _waits(rounds)]))
    meaning = "; ".join(f"*{what}*: {meant}" for what, meant in (checks.FIGURES | {"p99 of others": OTHERS}).items())
    parts = [_head(chaos), lines, [f"{meaning}."], _notes(chaos), [OPERATOR_VIEW], _operator_view(chaos)]
    whole = "\n\n".join(filter(None, ("\n".join(part) for part in parts)))
    return whole.replace(f"{PROJECT}/", "")  # log lines name files of this machine


def _waits(rounds):
    """The usual p99 before, and the longest from the beginning of a fault to full service."""
    before, during = (
        [waits for waits in each if waits is not None] for each in zip(*(f["waits"] for f in rounds), strict=True)
    )
    shown = [f"{statistics.median(before):.2f}"] if before else []
    return " → ".join(shown + ([f"{max(during):.2f}"] if during else []))


def _row(cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _head(chaos):
    records = [charger.records for charger in chaos.fleet.chargers.values()]
    yield f"Seen on {datetime.now(UTC):%Y-%m-%d} by `make chaos`; full service counts from the end of the fault."
    yield ""
    yield f"- {machine()}"
    yield f"- {versions(chaos.stack)}"
    acknowledged = sum(own.acknowledged for own in records)
    yield f"- {len(records)} chargers charged all the time: {acknowledged:,} messages acknowledged, each looked up"
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in chaos.outcomes.most_common())
    refused = f"{chaos.commanding.refused.total():,} more were not taken, and so owed nothing"
    if statuses := ", ".join(f"{n:,} × {why}" for why, n in chaos.commanding.refused.most_common()):
        refused += f" ({statuses})"
    yield f"- {sum(chaos.outcomes.values()):,} commands submitted: {outcomes}; {refused}"
    yield f"- {chaos.totals['errors']:,} messages were answered with a CALLERROR"


def _operator_view(chaos):
    for name, rounds in chaos.results.items():
        reported = rounds[-1]["reported"]
        yield f"- {name}: /readyz: {reported['readyz']}. Metrics: {reported['metrics']}. Log: {reported['log']}."


def _notes(chaos):
    for name, figures in chaos.results.items():
        for found in Counter(extra for each in figures for extra in each["extra"]):
            yield f"- {name}: **{found}**"
    for name, why in chaos.skipped.items():
        yield f"- {name}: skipped. {why}"
    for name, notes in chaos.notes.items():
        for what, each in notes.items():
            yield f"- {name}: {what} {', '.join(map(str, each))}"


def write(written):
    """Put it between the marks."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{written}\n\n{END}{after}")
