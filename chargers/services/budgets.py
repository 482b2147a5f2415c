"""The budgets of a charger limit how much one credential may send and have stored.

Beyond a budget the charger is slowed down, or its messages are acknowledged and not stored. Data that a bill needs is
never dropped. Each excess is a finding with the field `budget.NAME`, from which `services.findings` raises the
incident. docs/security.md has the table for operators; a test compares it with this module.

Rates are counted by token buckets in the web process that holds the socket. A bucket is stored while its charger is
disconnected, so that reconnecting does not fill it.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from weakref import WeakValueDictionary

from django.conf import settings

from core.ocpp.calls import Received

Report = TypeVar("Report", bound=Received)

KIND = "out_of_range"  # the kind of the findings
PREFIX = "budget."
NO_LIMIT = 2**62  # in a statement, for a limit of 0
CHARACTERS_PER_UNIT = 4096  # a message costs one unit more for each so many characters
MAX_STORED_ACCOUNTS = 10_000  # of disconnected chargers whose buckets are not full yet
ROUNDING_S = 1e-6  # tolerance for the rounding of floating point sums
SLOWS = "Its socket is read more slowly. All its messages are processed, but later."


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit, given by the setting `setting` (0 for no limit), of the quantity `counts`.

    `consequence` describes for operators how an excess is treated. A rate is a limit for `period_s`; an unused rate
    is saved for up to `saved_s` seconds and may then be used at once.
    """

    name: str
    setting: str
    counts: str
    consequence: str
    period_s: float = 0
    saved_s: float = 0

    @property
    def limit(self) -> int:
        return getattr(settings, self.setting)

    @property
    def finding(self) -> tuple[str, str]:
        """The (field, kind) of its findings."""
        return PREFIX + self.name, KIND


MINUTE, HOUR = 60, 3600
BUDGETS = {
    budget.name: budget
    for budget in (
        Budget("messages", "OCPP_MESSAGES_PER_SECOND", "messages a second", SLOWS, 1, 40),
        Budget("rows", "OCPP_ROWS_PER_MINUTE", "rows of meter values a minute", SLOWS, MINUTE, 60),
        Budget(
            "transactions", "OCPP_TRANSACTION_MESSAGES_PER_MINUTE", "starts and stops a minute", SLOWS, MINUTE, 1000
        ),
        Budget(
            "samples",
            "OCPP_MOST_SAMPLES",
            "sampled values in one message",
            "So many are stored, energy registers first. A stop ends its session as usual.",
        ),
        Budget(
            "connectors",
            "OCPP_MOST_CONNECTORS",
            "connectors",
            "The status of a further connector is acknowledged and not stored. Transactions there are stored.",
        ),
        Budget(
            "unknown_tags",
            "OCPP_MOST_UNKNOWN_TAGS",
            "unknown id tags in the list, of one charger",
            "A further tag is answered as usual and not listed.",
        ),
        Budget(
            "all_unknown_tags",
            "OCPP_MOST_UNKNOWN_TAGS_IN_ALL",
            "unknown id tags in the list, of all chargers",
            "A further tag is answered as usual and not listed.",
        ),
        Budget(
            "unapplied",
            "OCPP_MOST_UNAPPLIED_MESSAGES",
            "orphan stops and refused messages about transactions that wait for an operator",
            "A further one is not stored, unless it is a start or a stop with a meter value.",
        ),
        Budget(
            "security_events",
            "OCPP_SECURITY_EVENTS_PER_HOUR",
            "security events an hour",
            "A further one is acknowledged and not stored.",
            HOUR,
            HOUR,
        ),
        Budget(
            "monitoring_events",
            "OCPP_MONITORING_EVENTS_PER_HOUR",
            "monitoring events an hour",
            "All of a further message are acknowledged and not stored.",
            HOUR,
            HOUR,
        ),
        Budget(
            "monitors",
            "OCPP_MOST_MONITORS",
            "monitors",
            "Further monitors of a report are not stored.",
        ),
        Budget(
            "data_transfers",
            "OCPP_DATA_TRANSFERS_PER_HOUR",
            "DataTransfers an hour",
            "A further one is answered as usual and not stored.",
            HOUR,
            HOUR,
        ),
        Budget(
            "certificate_requests",
            "OCPP_CERTIFICATE_REQUESTS_PER_HOUR",
            "requests for a certificate an hour",
            "A further one is rejected and not stored.",
            HOUR,
            HOUR,
        ),
        Budget(
            "certificate_checks",
            "OCPP_CERTIFICATE_CHECKS_PER_HOUR",
            "messages an hour that need the answer of another server about a certificate",
            "For a further one no request is sent, so its answer is a failure.",
            HOUR,
            HOUR,
        ),
        Budget(
            "configuration",
            "OCPP_MOST_CONFIGURATION_KEYS",
            "configuration keys, or attributes of variables",
            "Further ones of an answer or a report are not stored.",
        ),
        Budget(
            "findings",
            "OCPP_MOST_FINDINGS",
            "findings",
            "Further members are counted together, as (others).",
        ),
    )
}
FIELDS = {budget.finding[0]: budget for budget in BUDGETS.values()}
SLOWING = [budget.name for budget in BUDGETS.values() if budget.consequence == SLOWS]


def exceeded(field: str, kind: str) -> Budget | None:
    """Return the budget that a finding is about, None for any other finding."""
    return FIELDS.get(field) if kind == KIND else None


class Bucket:
    """A token bucket that is filled at a steady rate up to its size. An overdraft is paid by waiting."""

    __slots__ = ("unit_s", "saved_s", "full_at")

    def __init__(self, budget: Budget) -> None:
        self.unit_s = budget.period_s / budget.limit if budget.limit else 0.0
        self.saved_s, self.full_at = budget.saved_s, 0.0

    def spend(self, cost: float = 1) -> float:
        """Take `cost` tokens. Return the seconds until the overdraft is paid, 0 or less if there is none."""
        now = monotonic()
        full_at = self.full_at
        self.full_at = full_at = (full_at if full_at > now else now) + cost * self.unit_s
        return full_at - now - self.saved_s

    def take(self, cost: int = 1) -> bool:
        """Take `cost` tokens if there are so many, and return whether they were taken."""
        if self.spend(cost) <= ROUNDING_S:
            return True
        self.full_at -= cost * self.unit_s
        return False


class Account:
    """The buckets of one charger."""

    __slots__ = ("messages", "buckets", "due_at", "__weakref__")

    def __init__(self) -> None:
        self.messages = Bucket(BUDGETS["messages"])
        self.buckets = {"messages": self.messages}
        self.due_at = 0.0  # when the overdrafts of all buckets except `messages` are paid

    def receive(self, characters: int) -> float:
        """Pay for a message of so many characters. Return the seconds to wait before it, 0 or less for none."""
        wait = self.messages.spend(1 + characters // CHARACTERS_PER_UNIT)
        return max(wait, self.due_at - monotonic()) if self.due_at else wait

    def receive_at_once(self, characters: int) -> bool:
        """Pay for a message of so many characters, unless it has to wait, and return whether it was paid."""
        if self.receive(characters) <= 0:
            return True
        self.messages.spend(-1 - characters // CHARACTERS_PER_UNIT)
        return False

    def spend(self, name: str, cost: float = 1) -> None:
        """Pay `cost` from the budget `name`. An overdraft delays the next message."""
        wait = self.bucket(name).spend(cost)
        if wait > 0:
            self.due_at = max(self.due_at, monotonic() + wait)

    def bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            self.buckets[name] = Bucket(BUDGETS[name])
        return self.buckets[name]

    @property
    def overdrawn(self) -> list[str]:
        """Names of the budgets that slow the charger down now."""
        return [name for name in SLOWING if name in self.buckets and self.buckets[name].spend(0) > 0]

    @property
    def is_untouched(self) -> bool:
        """Whether all buckets are full, so that a new account would be the same."""
        now, buckets = monotonic(), list(self.buckets.values())  # a copy, because the writer may add one
        return all(bucket.full_at <= now for bucket in buckets)


class Ledger:
    """The accounts of this process by primary key of the charger.

    A socket references the account of its charger. The account of a disconnected charger is stored until its buckets
    are full again.
    """

    def __init__(self) -> None:
        self.accounts: WeakValueDictionary[int, Account] = WeakValueDictionary()
        self.stored: OrderedDict[int, Account] = OrderedDict()
        self.lock = threading.Lock()  # sockets and the writer thread read accounts

    def of(self, charger: int) -> Account:
        with self.lock:
            account = self.accounts.get(charger)
            if account is None:
                account = self.accounts[charger] = Account()
            return account

    def leave(self, charger: int, account: Account) -> None:
        """Store `account`, because the socket of its charger has ended."""
        with self.lock:
            self.stored[charger] = account
            self.stored.move_to_end(charger)
            while self.stored and (
                len(self.stored) > MAX_STORED_ACCOUNTS or next(iter(self.stored.values())).is_untouched
            ):
                self.stored.popitem(last=False)


ledger = Ledger()


def within_rate(reports: Sequence[Report], name: str) -> list[Report]:
    """Return those of `reports` whose calls are within the budget `name`. The others get a finding.

    A call takes from the budget for all its reports at once, and only once, even if its batch is retried.
    """
    budget, costs = BUDGETS[name], Counter(id(report.call) for report in reports)
    for call in (report.call for report in reports):
        if call.is_within_rate is None:
            call.is_within_rate = ledger.of(call.charger).bucket(name).take(costs[id(call)])
        if not call.is_within_rate:
            call.find(*budget.finding, budget.limit)
    return [report for report in reports if report.call.is_within_rate]
