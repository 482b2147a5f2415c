"""`python -m tools.chaos`: provoke every fault several times under load; the figures go to docs/reliability.md."""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter

import uvloop

from config import startup
from tools.bench.servers import clean
from tools.chaos import checks, report
from tools.chaos.commanding import Commanding
from tools.chaos.fleet import Fleet
from tools.chaos.line import Line
from tools.chaos.operator import Operator
from tools.chaos.scenarios import SCENARIOS, Skipped
from tools.chaos.stack import Restless
from tools.chaos.waits import LONGEST_RISE
from tools.stack.stack import PROJECT

FULL = {"rounds": 3, "chargers": 90, "crowd": 5200, "stopped": lambda seconds: seconds, "holds": 4}
QUICK = {"rounds": 1, "chargers": 45, "crowd": 500, "stopped": lambda seconds: min(seconds, 10), "holds": 2}
IN_QUICK = (
    *("a web process killed", "a Celery worker killed in mid-wait", "Redis killed, its data gone"),
    *("PostgreSQL shut down at once", "everything killed at once", "connections reset", "second sockets"),
    *("a locked row", "a read-only database", "the disk full", "commits held, chargers reconnect"),
    *("a migration beside a long reader", "Redis full"),
)
STEADY, SLOW, ABSENT = "steady", "slow", "chaos-absent"
SETTLE = 90  # seconds within which everything must have come to its end
BEFORE = 4  # seconds of undisturbed load that a fault is compared with
METRICS_DELAY_S = 6  # until every process has written its metrics
SHOWN = 60  # seconds within which who is online must be shown right


class Chaos:
    """One run: the product, its load, and what was found."""

    def __init__(self, stack, sizes):
        self.stack, self.sizes = stack, sizes
        self.began = time.monotonic()
        self.results = {}  # scenario: [figures of a round]
        self.notes = {}  # scenario: {what: [of each round]}
        self.judged = set()  # task ids that earlier rounds have counted
        self.skipped = {}  # scenario: why
        self.crowd = []
        self.known, self.totals = {}, Counter()  # what earlier rounds have found

    def say(self, line):
        print(f"[{time.monotonic() - self.began:6.0f} s] {line}", flush=True)

    # --- the load ----------------------------------------------------------------------------

    async def begin(self):
        """A third of the chargers on a line of their own; some are slow to answer, some never do, some are absent."""
        self.fleet = Fleet(self.stack.chargers_url)
        self.line = await Line(int(self.stack.env["PORT"])).open()
        self.far_url = f"ws://127.0.0.1:{self.line.port}/ws/ocpp"
        for number in range(self.sizes["chargers"]):
            manner = "silent" if number % 9 == 8 else SLOW if number % 9 == 7 else STEADY
            url = self.far_url if number % 3 == 2 and manner == STEADY else None
            self.fleet.add(f"chaos-{number}", manner, url)
        self.steady = [c for c in self.fleet.chargers.values() if c.manner == STEADY]
        self.watching = asyncio.create_task(self.fleet.watch())
        await self.until(lambda: self.fleet.all_heard_since(0), 60)
        targets = [(c.identity, c.manner) for c in self.fleet.chargers.values()]
        self.commanding = Commanding(self.stack.url, [*targets, (ABSENT, "absent")])
        self.commanding.make_known(ABSENT)
        self.operator = Operator(self.stack.url, self.stack.run_dir / "logs").start()

    async def crowd_connected(self):
        """Many more chargers, which hardly say anything."""
        if not self.crowd:
            self.crowd = [self.fleet.add(f"crowd-{n}", "idle") for n in range(self.sizes["crowd"])]
        await self.must_become("connected", lambda: all(c.connection and c.records.boots for c in self.crowd), 120)

    async def must_become(self, what, condition, seconds):
        self.must_be_none(
            f"crowds that were not {what} in {seconds} s", int(not await self.until(condition, seconds))
        )

    async def until(self, condition, seconds):
        """Whether `condition` came true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    # --- one round ---------------------------------------------------------------------------

    async def round(self, name, number):
        self.name, self.struck = name, set()
        self.figures = {"extra": []}
        self.fleet.waits.forget()
        await asyncio.sleep(random.uniform(4, 6))  # somewhere in the load
        self.fault_begins()
        try:
            await SCENARIOS[name](self)
        except Skipped as why:
            self.skipped[name] = str(why)
            self.say(f"{name} is skipped: {why}")
            return
        await self._judge(f"{name}, {number}", time.monotonic())
        self.results.setdefault(name, []).append(self.figures)
        if self.crowd:
            self.fleet.remove([c.identity for c in self.crowd])
            self.crowd = []

    async def _judge(self, title, over):
        """All figures of a round whose fault ended at the moment `over`."""
        served = await self._served(over)
        self.say(f"{title}: {over - self.fault_began:.1f} s; {_shown(served)} to full service")
        self.figures |= {"full service": served, "waits": self.waits(time.monotonic())} | await self._checked()
        await self.until(lambda: self.operator.has_looked_since(over + METRICS_DELAY_S), SETTLE)
        self.figures["reported"] = await asyncio.to_thread(self.operator.report, self.fault_began)
        wrong = {what: self.figures[what] for what in checks.FIGURES if self.figures[what]}
        if wrong or self.figures["extra"]:
            self.say(f"  WRONG: {wrong} {self.figures['extra']} {self.examples}")

    async def is_served(self):
        return await self._served(time.monotonic())

    async def _served(self, over):
        """Seconds until each charger was heard again and a command is answered, None if that takes too long."""
        deadline = over + SETTLE
        while time.monotonic() < deadline:
            charger = random.choice(self.steady)
            answered = await asyncio.to_thread(self.commanding.is_answered, charger.identity)
            if answered and self.fleet.all_heard_since(over):
                return time.monotonic() - over
            await asyncio.sleep(0.2)
        return None

    async def _checked(self):
        """All is brought to its end, and compared."""
        self.commanding.going.clear()
        shown = await self._presence()
        self.fleet.still = True
        await self.until(lambda: not self.fleet.unanswered and self._all_finished(), SETTLE)
        records = {charger_id: charger.records for charger_id, charger in self.fleet.chargers.items()}
        found = await asyncio.to_thread(self._found, records)
        await self._note_commands()
        totals = {
            "errors": sum(len(own.faults) for own in records.values()),
            "HTTP 500": self.commanding.refused[500],
        }
        figures = self._since_last(found, totals) | {"unanswered": self.fleet.unanswered, "shown wrong": shown}
        self.fleet.go_on()
        self.commanding.going.set()
        return figures

    def _found(self, records):
        """{figure: what is wrong}, of the whole run."""
        lost, twice = checks.lost_and_twice(records, self.stack.sql)
        unfinished, untrue, self.outcomes = checks.commands(dict(self.commanding.asked), records, self.stack.sql)
        half = checks.half_taken(self.commanding.refused_keys, self.stack.sql)
        found = {"lost": lost, "twice": twice, "sent twice": checks.sent_twice(records), "half taken": half}
        return found | {"unfinished": unfinished, "untrue": untrue}

    def _since_last(self, found, totals):
        """{figure: how many more than after the round before}; `found` are lists, `totals` numbers."""
        new = {what: Counter(each) - self.known.get(what, Counter()) for what, each in found.items()}
        more = {what: total - self.totals[what] for what, total in totals.items()}
        self.known, self.totals = {what: Counter(each) for what, each in found.items()}, Counter(totals)
        self.examples = [example for each in new.values() for example in list(each)[:3]]
        return {what: each.total() for what, each in new.items()} | more

    async def _note_commands(self):
        """Those of this round to chargers that answer at once."""
        asked = {task_id for task_id, (_, manner) in self.commanding.asked.items() if manner == STEADY} - self.judged
        self.judged |= asked
        missed = await asyncio.to_thread(checks.not_answered, asked, self.stack.sql)
        self.note("commands to chargers that answer at once, and had no answer", f"{missed} of {len(asked)}")

    def _all_finished(self):
        now = time.monotonic()
        if now - getattr(self, "looked", 0) < 2:
            return False
        self.looked = now
        rows = self.stack.sql("SELECT count(*) FROM commands_command WHERE state <> 'finished'")
        return rows[0][0] == 0

    async def _presence(self):
        """How many are shown online that are not, or the reverse, after SHOWN seconds at the latest."""
        deadline = time.monotonic() + SHOWN
        while True:
            active = await asyncio.to_thread(self.commanding.active)
            wrong = self.fleet.present ^ active if active is not None else {"nobody tells"}
            if not wrong or time.monotonic() > deadline:
                return len(wrong)
            await asyncio.sleep(1)

    # --- what scenarios tell -----------------------------------------------------------------

    def fault_begins(self):
        """Now. A scenario that has to prepare something first calls it again: what follows belongs to the fault."""
        self.fault_began = time.monotonic()
        self.operator.begin()

    def waits(self, until):
        """p99 of the chargers that are not `struck`: (in the seconds before the fault, since then)."""
        others = [c for c in self.fleet.chargers.values() if c.manner != "idle" and c.identity not in self.struck]
        p99 = self.fleet.waits.p99
        began = self.fault_began
        return p99(others, began - BEFORE, began), p99(others, began, until)

    def strike(self, chargers):
        """The fault concerns these chargers; of the others it is measured how long they wait."""
        self.struck |= {charger.identity for charger in chargers}

    def others_must_go_on(self, most=LONGEST_RISE):
        """Until now the p99 of the chargers that are not `struck` may have risen by `most` seconds."""
        before, during = self.waits(time.monotonic())
        if during - before > most:
            self.must_be_none("seconds by which the p99 of other chargers rose", round(during - before, 1))

    def note(self, what, figure):
        self.notes.setdefault(self.name, {}).setdefault(what, []).append(figure)

    def must_be_none(self, what, count):
        if count:
            self.figures["extra"].append(f"{count} {what}")

    @property
    def is_right(self):
        rounds = [figures for each in self.results.values() for figures in each]
        return all(
            not figures["extra"]
            and figures["full service"] is not None
            and not any(figures[what] for what in checks.FIGURES)
            for figures in rounds
        )


def _shown(seconds):
    return "NOT BACK" if seconds is None else f"{seconds:.1f} s"


async def run(stack, sizes, names):
    chaos = Chaos(stack, sizes)
    await chaos.begin()
    chaos.say(f"{sizes['chargers']} chargers charge, commands are submitted, {len(names)} scenarios begin")
    for name in names:
        for number in range(1, sizes["rounds"] + 1):
            await chaos.round(name, f"{number} of {sizes['rounds']}")
    chaos.fleet.over = chaos.commanding.over = chaos.operator.over = True
    return chaos


def main():
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some scenarios, once each, printed and not written")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO", help="; ".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, help="of each scenario")
    given = parser.parse_args()
    startup.allow_many_files()
    sizes = (QUICK if given.quick else FULL) | ({"rounds": given.rounds} if given.rounds else {})
    names = given.only or (IN_QUICK if given.quick else list(SCENARIOS))
    run_dir = PROJECT / ".run" / "chaos"
    stack = Restless(run_dir, print)
    stack.small_disk.unmount()  # of a run that was killed
    clean(run_dir)
    try:
        print("PostgreSQL, Redis, two web processes and two workers are started", flush=True)
        stack.prepare()
        with stack.web(2), stack.workers(2):
            stack.look_after()
            chaos = uvloop.run(run(stack, sizes, names))
            text = report.text(chaos)
            with stack.left_dead():  # what is stopped now is not to be started again
                stack.over = True
        print(f"\n{text}\n")
        if not given.quick and not given.only:
            report.write(text)
            print(f"Written to {report.PAGE.relative_to(PROJECT)}.")
    finally:
        stack.over = True
        stack.stop()
    return 0 if chaos.is_right else 1


if __name__ == "__main__":
    sys.exit(main())
