"""Verdicts on id tokens that chargers present, and the list of those that are not known."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction as database

from chargers.services import budgets, findings
from core.db import bulk_sql
from core.ocpp.calls import Call
from transactions import sql
from transactions.models import IdTag


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on an id token: `status` is one of `IdTag.STATUSES` or `ConcurrentTx`; `group` is "" for none."""

    status: str
    expires: datetime | None = None
    group: str = ""


INVALID = Verdict("Invalid")
Known = dict[str, IdTag]  # by the token in upper case


def verdict(tag: IdTag) -> Verdict:
    """Return the verdict on a known token."""
    return Verdict(tag.verdict(), tag.expiry_date, tag.parent_id_tag)


def verdict_on(known: Known, id_tag: str) -> Verdict:
    """Return the verdict on `id_tag`; it is `Invalid` if the token is not in `known`."""
    tag = known.get(id_tag.upper())
    return INVALID if tag is None else verdict(tag)


def authorize(presented: list[tuple[Call, str]]) -> list[Verdict]:
    """Return the verdict on each token that was presented. An unknown token is `Invalid`, never an error."""
    known = find_known(presented)
    return [verdict_on(known, id_tag) for _, id_tag in presented]


def find_known(presented: list[tuple[Call, str]], owners: set[str] | frozenset[str] = frozenset()) -> Known:
    """Return the known ones of the `presented` tokens and of `owners`; list the presented tokens that are unknown."""
    calls = {id_tag: call for call, id_tag in presented}
    known: Known = IdTag.known([*calls, *owners])
    unknown = {tag.upper(): (call, tag) for tag, call in calls.items() if tag and tag.upper() not in known}
    if unknown:
        # In its own statement after the commit, because writers that list the same tags would wait for each other.
        database.on_commit(lambda: _list_unknown(list(unknown.values())), robust=True)
    return known


def _list_unknown(presented: list[tuple[Call, str]]) -> None:
    """Enter the tokens in the list for operators, in one order for all processes."""
    presented = sorted(presented, key=lambda pair: pair[1].upper())
    rows = [
        {"n": n, "id_tag": id_tag, "charger": call.charger, "seen": call.received_at}
        for n, (call, id_tag) in enumerate(presented)
    ]
    limits = [budgets.BUDGETS[name].limit or budgets.NO_LIMIT for name in ("unknown_tags", "all_unknown_tags")]
    for n, name in bulk_sql.query(sql.LIST_UNKNOWN_TAGS, [*limits, bulk_sql.json(rows)]):
        call, id_tag = presented[n]
        finding = {budgets.BUDGETS[name].finding: id_tag}
        findings.add(call.charger, call.action, finding, call.received_at)
