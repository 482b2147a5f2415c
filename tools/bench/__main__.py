"""`make bench`: this central system and its peers on the same load, in turn, in one run; `bench-quick`: two minutes.

Everything is started here and stopped again; only `make bench` writes docs/performance.md. Nothing is compared with a
figure of another run.
"""

import argparse
import statistics
import sys
import time

from tools.bench import commands, inbound, reading, report, servers
from tools.stack.stack import PROJECT

FULL = {
    **{"rounds": 3, "seconds": 6, "rate_seconds": 12, "minutely": (5000, 120), "storm": 5000, "idle": 2000},
    **{"still": 30, "commands": 200, "many": 1500, "silent": 1000, "records": 1_000_000},
}
QUICK = {
    **{"rounds": 1, "seconds": 4, "rate_seconds": 6, "minutely": (1000, 10), "storm": 1000, "idle": 500},
    **{"still": 5, "commands": 40, "many": 400, "silent": 200, "records": 0},
}


class Bench:
    """Runs the stages and keeps what they measured, round by round."""

    def __init__(self, product, sizes):
        self.product, self.sizes = product, sizes
        self.rpc = servers.install_ocpp_rpc(product.run_dir)
        self.began = time.monotonic()
        self.table, self.details = report.Table(), []

    def say(self, line):
        print(f"{time.monotonic() - self.began:6.0f} s  {line}", flush=True)

    def rounds(self, what, measure):
        """What `measure()` returned in each round."""
        found = []
        for number in range(1, self.sizes["rounds"] + 1):
            self.say(f"{what}, round {number} of {self.sizes['rounds']}")
            found.append(measure())
        return found

    def detail(self, line):
        self.details.append(f"- {line}")
        self.say(f"    {line}")

    def ratio(self, what, least, aim, over, under, better="more"):
        figure, each = report.ratios(over, under)
        self.table.add(what, least, aim, figure, each, better)

    def median(self, what, least, aim, found, unit, digits=2):
        """A row of a measure of which less is better."""
        each = ", ".join(f"{figure:.{digits}f}" for figure in found)
        self.table.add(what, least, aim, statistics.median(found), each, "less", unit, digits)

    # --- the stages --------------------------------------------------------------------------

    def inbound(self):
        found = self.rounds("Inbound", lambda: inbound.closed(self.product, self.rpc, self.sizes["seconds"]))
        rates = {who: [figures[who]["rate"] for figures in found] for who in found[0]}
        for who, each in rates.items():
            last = found[-1][who]
            busy = statistics.median(figures[who]["cpu"] for figures in found)
            self.detail(
                f"inbound, {who}: {report.spread(each)} messages/s; p50 {last['p50']} ms, p99 {last['p99']} ms; "
                f"the load itself took {busy:.0%} of a core"
            )
        spent = {who: self.spent(who, [figures[who]["spent"] for figures in found]) for who in found[0]}
        self.ratio(
            "CPU of web process and PostgreSQL for each message, against the reference",
            *(0.28, 0.2, spent["ours"], spent["reference"], "less"),
        )
        self.ratio(
            "inbound, one process, 200 chargers, against the reference", 4, 6, rates["ours"], rates["reference"]
        )
        self.ratio(
            "CPU for each message of OCPP 2.0.1, against 1.6",
            *(1.15, 1.0, spent["OCPP 2.0.1"], spent["ours"], "less"),
        )
        if self.rpc:
            self.ratio("the same against ocpp-rpc", 0.3, 0.5, rates["ours"], rates["ocpp-rpc"])
        written = [figures["ours"]["wal"] for figures in found]
        self.detail(f"WAL for each message: {report.spread(written)} bytes")
        self.median("WAL for each message", 0.9, 0.6, [size / 1000 for size in written], " kB")
        two, one = rates["two processes"], rates["one process"]
        self.ratio("two processes against one, 800 chargers", 1.6, 1.9, two, one)

    def spent(self, who, found):
        """Say the µs of CPU that each part took for a message; return their sum in each round."""
        sums = [sum(parts.values()) for parts in found]
        parts = {name: [figures[name] for figures in found] for name in found[0]}
        shown = ", ".join(f"{name} {report.spread(each, 1)} µs" for name, each in (parts | {"sum": sums}).items())
        self.detail(f"CPU for each message, {who}: {shown}")
        return sums

    def fixed(self):
        bounds, seconds = {500: (12, 6), 1000: (15, 8)}, self.sizes["rate_seconds"]
        found = self.rounds("Fixed rates", lambda: inbound.fixed(self.product, bounds, seconds))
        for rate, (least, aim) in bounds.items():
            middle, late = ([figures[rate][share] for figures in found] for share in ("p50", "p99"))
            self.detail(f"{rate:,} messages/s: p50 {report.spread(middle, 1)} ms, p99 {report.spread(late, 1)} ms")
            self.median(f"p99 at {rate:,} messages/s", least, aim, late, " ms", 1)

    def minutely(self):
        chargers, seconds = self.sizes["minutely"]
        self.say(f"{chargers:,} chargers send a reading a minute")
        found = inbound.minutely(self.product, chargers, seconds)
        shares = ", ".join(f"{name} {share:.1%}" for name, share in found["cores"].items())
        total = sum(found["cores"].values())
        self.detail(
            f"{chargers:,} chargers, each with a reading a minute: {total:.1%} of a core ({shares}), and "
            f"{found['size'] / 2**20:.0f} MiB of the web process; a core would carry {chargers / total:,.0f}"
        )

    def storm(self):
        chargers = self.sizes["storm"]
        found = self.rounds("Storm", lambda: inbound.storm(self.product, chargers))
        ours, theirs = ([figures[who]["seconds"] for figures in found] for who in ("ours", "reference"))
        faults = {who: sum(figures[who]["faults"] for figures in found) for who in ("ours", "reference")}
        self.detail(
            f"{chargers:,} chargers connect and boot: ours {report.spread(ours, 1)} s, {faults['ours']} errors; "
            f"reference {report.spread(theirs, 1)} s, {faults['reference']} errors"
        )
        self.ratio(f"{chargers:,} chargers connect and boot, against the reference", 1.1, 0.9, ours, theirs, "less")

    def idle(self):
        found = self.rounds("Idle fleet", lambda: inbound.idle(self.product, self.sizes["idle"]))
        ours, theirs = ([figures[who] / 1024 for figures in found] for who in ("ours", "reference"))
        self.detail(
            f"idle connection: ours {report.spread(ours, 1)} KiB, reference {report.spread(theirs, 1)} KiB of memory"
        )
        self.ratio("memory of an idle connection, against the reference", 1.15, 1.0, ours, theirs, "less")

    def standstill(self):
        seconds = self.sizes["still"]
        self.say(f"The database is stopped for {seconds} s under the load of 800 chargers")
        result = inbound.standstill(self.product, 800, seconds)
        grown = f"from {result['before'] / 2**20:.0f} to {result['most'] / 2**20:.0f} MiB at most"
        self.detail(
            f"database stopped for {seconds} s under 800 chargers: the web process grew {grown}, and stored again "
            f"{result['resumed']:.1f} s after the database was up; all {result['answered']:,} acknowledged messages "
            "are in the database, none twice, and no socket was lost"
        )

    def commands(self):
        nothing = commands.Nothing(self.product)
        found = self.rounds("One command", lambda: commands.idle(self.product, nothing, self.sizes["commands"]))
        ours, theirs = ([figures[who] for figures in found] for who in ("command", "nothing"))
        self.detail(
            f"one command: {report.spread(ours, 1)} ms; a task that does nothing: {report.spread(theirs, 1)} ms"
        )
        self.ratio("a command until its result can be polled, against nothing", 1.8, 1.4, ours, theirs, "less")
        found = self.rounds("Many commands", lambda: commands.throughput(self.product, nothing, self.sizes["many"]))
        ours, theirs = ([figures[who] for figures in found] for who in ("command", "nothing"))
        self.detail(f"two workers: {report.spread(ours)} commands/s; nothing: {report.spread(theirs)} tasks/s")
        self.ratio("commands/s with two workers, against nothing", 0.5, 0.7, ours, theirs)
        silent = self.sizes["silent"]
        found = self.rounds("Silent chargers", lambda: commands.behind_silence(self.product, silent, 50))
        added = [figures["behind"] - figures["alone"] for figures in found]
        alone, behind = ([figures[who] for figures in found] for who in ("alone", "behind"))
        self.detail(
            f"50 commands to live chargers: {report.spread(alone, 2)} s; behind {silent:,} to silent ones "
            f"{report.spread(behind, 2)} s"
        )
        self.median(f"delay that {silent:,} silent chargers add", 1, 0.3, added, " s")

    def reading(self):
        if not self.sizes["records"]:
            return
        self.say("Reading")
        found = reading.run(self.product, 1000, self.sizes["records"], self.sizes["seconds"], self.say)
        before, after = found.pop("ingest")
        size = f"{self.sizes['records']:,}"
        for page, (small, large) in found.items():
            self.detail(f"{page}: p95 {small:.1f} ms with a thousand of each, {large:.1f} ms with {size}")
            self.table.add(f"{page}, p95 against a small database", 2, 1.2, large / small, better="less")
        beside = f"{10 * self.sizes['records']:,} meter values"
        self.detail(f"ingest: {before:,.0f} messages/s into small tables, {after:,.0f} beside {beside}")

    def text(self):
        return f"{report.head(self.product, self.sizes['rounds'])}\n\n{self.table}\n\n" + "\n".join(self.details)


STAGES = ("inbound", "fixed", "minutely", "storm", "idle", "standstill", "commands", "reading")


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the essentials in two minutes, printed and not written")
    parser.add_argument("--only", nargs="+", choices=STAGES, help="some stages, printed and not written")
    given = parser.parse_args()
    run_dir = PROJECT / ".run" / "bench"
    product = servers.Product(run_dir, print)
    servers.clean(run_dir)
    try:
        product.prepare()
        bench = Bench(product, QUICK if given.quick else FULL)
        bench.say("PostgreSQL and Redis are up; ocpp-rpc is " + ("installed" if bench.rpc else "left out: no npm"))
        for stage in given.only or STAGES:
            getattr(bench, stage)()
        print(f"\n{bench.text()}\n")
        if not given.quick and not given.only:
            report.write(bench.text())
            print(f"Written to {report.PAGE.relative_to(PROJECT)}.")
    finally:
        product.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
