"""Verdicts on id tokens that chargers present, and the list of those that are not known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from django.db import transaction as database

from chargers.models import Charger
from chargers.services import budgets, findings
from core.db import bulk_sql
from core.ocpp.calls import Call
from transactions import sql
from transactions.models import IdTag
from transactions.models.id_tags import NO_AUTHORIZATION
from transactions.services import authorizations
from transactions.services.authorizations import Authorization
from transactions.services.key_codes import KEY_CODE

# The token, whether it is limited to chargers, and those of `chargers` to which it is.
KNOWN_TAGS = f"""
SELECT upper(c.id_tag),
    EXISTS (SELECT FROM transactions_idtag_chargers p WHERE p.idtag_id = c.id)
        OR EXISTS (SELECT FROM transactions_idtag_groups g WHERE g.idtag_id = c.id),
    ARRAY(SELECT p.charger_id FROM transactions_idtag_chargers p
            WHERE p.idtag_id = c.id AND p.charger_id = ANY(%(chargers)s)
        UNION ALL SELECT m.charger_id
            FROM transactions_idtag_groups g JOIN chargers_chargergroup_chargers m USING (chargergroup_id)
            WHERE g.idtag_id = c.id AND m.charger_id = ANY(%(chargers)s)),
    {bulk_sql.columns(IdTag)}
FROM transactions_idtag c
WHERE upper(c.id_tag) = ANY(ARRAY(SELECT json_array_elements_text(%(texts)s)))
"""


@dataclass(frozen=True, slots=True)
class Presented:
    """An id token that a charger presents. `type` is "" in OCPP 1.6, which has no types."""

    call: Call
    id_token: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on an id token: `status` is one of `IdTag.STATUSES` or `ConcurrentTx`; `group` is "" for none.

    `language` and `message` are for the driver. A `master_pass` may stop every transaction of its charger.
    """

    status: str
    expires: datetime | None = None
    group: str = ""
    language: str = ""
    message: str = ""
    master_pass: bool = False


INVALID = Verdict("Invalid")
FREE = Verdict("Accepted")  # a charger that needs no authorization, for example with a button to start


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A known token. `chargers` are those of the chargers in question where it is valid, None if it is everywhere."""

    tag: IdTag
    chargers: frozenset[int] | None = None

    def verdict(self, charger: int) -> Verdict:
        """Return the verdict on the token at `charger` (primary key): `Blocked` before `Expired` if it is both."""
        tag = self.tag
        status = tag.status
        if status == "Accepted" and self.chargers is not None and charger not in self.chargers:
            status = INVALID.status if tag.type == KEY_CODE else "NotAtThisLocation"  # C04.FR.01
        elif status == "Accepted" and tag.expiry_date and tag.expiry_date <= datetime.now(UTC):
            status = "Expired"
        return Verdict(status, tag.expiry_date, tag.parent_id_tag, tag.language, tag.message, tag.master_pass)


@dataclass(frozen=True, slots=True)
class Known:
    """Known tokens, by their text in upper case and their type."""

    tags: dict[str, dict[str, KnownTag]] = field(default_factory=dict)

    def find(self, id_token: str, type: str = "") -> KnownTag | None:
        """Return the token of this text and type; see `of_type`."""
        same_text = self.tags.get(id_token.upper())
        return None if same_text is None else of_type(same_text, type)

    def tag(self, id_token: str, type: str = "") -> IdTag | None:
        found = self.find(id_token, type)
        return None if found is None else found.tag

    def limited(self) -> list[IdTag]:
        """Return those with a limit of transactions under way."""
        every = (known.tag for by_type in self.tags.values() for known in by_type.values())
        return [tag for tag in every if tag.concurrent_limit is not None]

    def verdict_at(self, charger: int, id_token: str, type: str = "") -> Verdict:
        """Return the verdict on a token at `charger` (primary key); an unknown one is `Invalid`."""
        if type == NO_AUTHORIZATION:
            return FREE
        known = self.find(id_token, type)
        return INVALID if known is None else known.verdict(charger)

    def verdict(self, presented: Presented) -> Verdict:
        """Return the verdict on a presented token."""
        return self.verdict_at(presented.call.charger, presented.id_token, presented.type)

    def verdict_at_start(self, presented: Presented) -> Verdict:
        """Return the verdict on a token that starts a transaction, which a master pass may not (C16.FR.03)."""
        verdict = self.verdict(presented)
        is_refused = verdict.master_pass and verdict.status == "Accepted"
        return replace(verdict, status=INVALID.status) if is_refused else verdict


def of_type(same_text: dict[str, KnownTag], type: str) -> KnownTag | None:
    """Return the one of `same_text`, by type, for a token of `type`: of this type, else of any.

    A token without a type is that of any type, else the only one.
    """
    exact = same_text.get(type) or same_text.get("")
    if exact or type or len(same_text) > 1:
        return exact
    return next(iter(same_text.values()), None)


def authorize(presented: list[Presented]) -> list[Verdict]:
    """Return the verdict on each token that was presented, and note when known ones were.

    An unknown token is `Invalid`, never an error.
    """
    known = find_known(presented)
    found = [(known.tag(one.id_token, one.type), one.call.received_at) for one in presented]
    if noted := [Authorization(tag.pk, at) for tag, at in found if tag]:
        database.on_commit(lambda: authorizations.writer.put(*noted), robust=True)
    return [known.verdict(one) for one in presented]


def may_stop(known: Known, presented: Presented, verdict: Verdict, id_token: str, type: str = "") -> bool:
    """Return whether an accepted token may stop a transaction that the token `id_token` of `type` has started.

    That token itself may, each of its group, and a master pass (C01.FR.03, C09.FR.03, C16; OCPP 1.6 §3.10).
    """
    if verdict.master_pass or (presented.id_token.upper(), presented.type) == (id_token.upper(), type):
        return True
    owner, group = known.tag(id_token, type), verdict.group.upper()
    return owner is not None and bool(group) and owner.parent_id_tag.upper() == group


def find(id_tokens: Iterable[str], chargers: Iterable[int]) -> Known:
    """Return the known ones of `id_tokens` (texts), as presented at `chargers` (primary keys)."""
    texts = sorted({text.upper() for text in id_tokens})
    parameters = {"texts": bulk_sql.json(texts), "chargers": bulk_sql.array(set(chargers))}
    known = Known()
    for text, is_limited, valid_at, *row in bulk_sql.query(KNOWN_TAGS, parameters) if texts else []:
        tag = bulk_sql.instance(IdTag, row)
        known.tags.setdefault(text, {})[tag.type] = KnownTag(tag, frozenset(valid_at) if is_limited else None)
    return known


def valid_at(charger: Charger) -> Known:
    """Return the tokens that are not limited to other chargers."""
    known = Known()
    for tag in IdTag.objects.usable_at(charger):
        known.tags.setdefault(tag.id_tag.upper(), {})[tag.type] = KnownTag(tag)
    return known


def find_known(presented: Sequence[Presented], owners: Iterable[str] = ()) -> Known:
    """Return the known ones of the `presented` tokens and of `owners` (texts); list the presented ones that are not.

    A key code is not listed, because a wrong one may be almost right (C04.FR.04).
    """
    named = [one for one in presented if one.type != NO_AUTHORIZATION]
    known = find([*(one.id_token for one in named), *owners], {one.call.charger for one in presented})
    unknown = {
        (one.id_token.upper(), one.type): one
        for one in named
        if one.id_token and one.type != KEY_CODE and known.find(one.id_token, one.type) is None
    }
    if unknown:
        # In its own statement after the commit, because writers that list the same tags would wait for each other.
        database.on_commit(lambda: _list_unknown(unknown), robust=True)
    return known


def _list_unknown(unknown: dict[tuple[str, str], Presented]) -> None:
    """Enter the tokens in the list for operators, in one order for all processes."""
    presented = [unknown[key] for key in sorted(unknown)]
    rows = [
        {"n": n, "id_tag": one.id_token, "type": one.type, "charger": one.call.charger, "seen": one.call.received_at}
        for n, one in enumerate(presented)
    ]
    limits = [budgets.BUDGETS[name].limit or budgets.NO_LIMIT for name in ("unknown_tags", "all_unknown_tags")]
    for n, name in bulk_sql.query(sql.LIST_UNKNOWN_TAGS, [*limits, bulk_sql.json(rows)]):
        call = presented[n].call
        finding = {budgets.BUDGETS[name].finding: presented[n].id_token}
        findings.add(call.charger, call.action, finding, call.received_at)
