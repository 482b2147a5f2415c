"""The cost of sessions by tariffs (OCPP 2.0.1 I). It is computed by one statement for many sessions."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from core.db import bulk_sql
from transactions import sql

if TYPE_CHECKING:  # the models use this module
    from transactions.models import Transaction
    from transactions.services.id_tokens import Presented


class Cost(NamedTuple):
    """The cost of a session that has ended, with VAT."""

    total: Decimal
    currency: str


def members(settled: dict[int, Cost], transaction: int) -> dict[str, str | None]:
    """Return the members of an event about `transaction` (primary key), whose cost is in `settled` if it has one."""
    found = settled.get(transaction)
    return {"cost": str(found.total) if found else None, "currency": found.currency if found else ""}


def cost(transaction: "Transaction") -> Decimal | None:
    """Return the cost of `transaction` so far, with VAT; None without a tariff. Free of charge is 0.00."""
    return running([transaction.pk]).get(transaction.pk)


def running(transactions: Iterable[int]) -> dict[int, Decimal]:
    """Return {primary key: cost so far} of those of `transactions` to which a tariff applies."""
    ids = bulk_sql.array(transactions)
    return dict(bulk_sql.query(sql.COSTS, [ids])) if ids != "{}" else {}


def settle(transactions: Iterable[int]) -> dict[int, Cost]:
    """Store the cost of `transactions`, which have ended; return {primary key: cost} where a tariff applies."""
    ids = bulk_sql.array(transactions)
    rows = bulk_sql.query(sql.SETTLE_COSTS, [ids]) if ids != "{}" else []
    return {pk: Cost(total, currency) for pk, total, currency in rows}


def texts(presented: "Sequence[Presented]") -> dict[int, str]:
    """Return {index in `presented`: text of the tariff} of those whose charger can show it (I01.FR.02)."""
    rows = [
        {"n": n, "charger": one.call.charger, "id_tag": one.id_token, "type": one.type}
        for n, one in enumerate(presented)
    ]
    return dict(bulk_sql.execute(sql.TARIFF_TEXTS, rows))
