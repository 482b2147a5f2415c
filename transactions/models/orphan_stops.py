"""Messages about transactions that wait for an operator."""

import operator
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from django.db import models
from django.db import transaction as database
from django.db.models.functions import MD5
from django.utils.functional import cached_property

from chargers.models import Charger
from chargers.services import budgets, findings
from core.db import bulk_sql
from core.ocpp import numerals
from core.ocpp.calls import Call
from core.ocpp.timestamps import parse_or
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16
from transactions import sql
from transactions.models.transactions import MOST, Transaction
from transactions.services import energy

MAX_CANDIDATES = 10
PAYLOAD_IN_CALL = 3  # its place in the array of a CALL (OCPP-J §4.2.1)


class OrphanStop(models.Model):
    """A StopTransaction that names no transaction of its charger: acknowledged and stored (1.6 errata 3.18).

    Refused messages about transactions are stored here too, until an operator applies them.
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="orphan_stops")
    ocpp_version = models.CharField(max_length=20, default=OCPP16.subprotocol, db_default=OCPP16.subprotocol)
    action = models.CharField(max_length=30, default="StopTransaction", db_default="StopTransaction")
    refused_because = models.TextField(blank=True, default="", db_default="", help_text="Empty: it was acknowledged.")
    reported_transaction_id = models.BigIntegerField(null=True, blank=True)
    payload = models.TextField(help_text="The request as JSON.")
    received_at = models.DateTimeField()
    transaction = models.ForeignKey(
        Transaction, models.SET_NULL, null=True, blank=True, related_name="+", help_text="Where it was attached to."
    )

    class Meta:
        verbose_name = "message not applied"
        verbose_name_plural = "messages not applied"
        ordering = ["-id"]
        constraints = [
            # A repeated message adds nothing. The hash is indexed, because a payload may be too long for an index.
            models.UniqueConstraint("charger", "action", MD5("payload"), name="one_row_a_waiting_message")
        ]

    @staticmethod
    def keep(rows: Iterable["OrphanStop"]) -> list[str]:
        """Insert the `rows` that are not stored already; return the actions of the new ones.

        If a charger has reached its limit of waiting messages, only those with a meter value are inserted.
        """
        columns = (
            "charger_id",
            "ocpp_version",
            "action",
            "refused_because",
            "reported_transaction_id",
            "payload",
            "received_at",
        )
        stored = [
            {column: getattr(row, column) for column in columns} | {"has_meter_value": row.has_meter_value}
            for row in rows
        ]
        budget = budgets.BUDGETS["unapplied"]
        outcomes = bulk_sql.query(sql.KEEP_ORPHANS, [budget.limit or budgets.NO_LIMIT, bulk_sql.json(stored)])
        for charger, action, is_past in outcomes:
            if is_past:
                count = partial(findings.add, charger, action, {budget.finding: budget.limit})
                database.on_commit(partial(count, datetime.now(UTC)), robust=True)
        return [action for _, action, is_past in outcomes if not is_past]

    def __str__(self) -> str:
        return f"{self.action} of {self.reported_transaction_id or 'no transaction'} ({self.charger})"

    @property
    def as_sent(self) -> Any:
        """The payload as it was sent: any JSON, or the text if it is not JSON."""
        try:
            return orjson.loads(self.payload)
        except ValueError:
            return self.payload

    @property
    def has_meter_value(self) -> bool:
        """Whether it has a meter value of the start or the stop of a session, which billing needs."""
        meters = (self.request.get(member) for member in ("meterStart", "meterStop"))
        is_register = any(numerals.read(str(meter)) is not None for meter in meters)
        return self.action != "MeterValues" and (is_register or bool(self.request.get("transactionData")))

    @cached_property
    def request(self) -> dict[str, Any]:
        """The members that were sent, also in a malformed CALL frame; {} if there are none."""
        sent = self.as_sent
        if isinstance(sent, list) and len(sent) > PAYLOAD_IN_CALL:
            sent = sent[PAYLOAD_IN_CALL]
        return sent if isinstance(sent, dict) else {}

    def as_call(self) -> Call:
        """Return the CALL it was received in; in a refused one any member may be missing or of any type."""
        version = BY_SUBPROTOCOL[self.ocpp_version]
        return Call(self.charger_id, "", self.action, self.request, self.received_at, version=version)

    @staticmethod
    def candidates_of(orphans: Iterable["OrphanStop"]) -> dict[int, list[int]]:
        """Return {primary key: ids of transactions that the orphan may belong to, the likeliest first}.

        The named transaction is first if it has no stop; then the latest starts follow.
        """
        loose = [o for o in orphans if o.transaction_id is None and o.action != "StartTransaction"]
        open_ones = Transaction.objects.filter(charger__in={o.charger_id for o in loose}, stop_received_at=None)
        started = defaultdict(list)
        for transaction in open_ones.only("charger_id", "id_tag", "start_time", "meter_start").order_by(
            "-start_time"
        ):
            started[transaction.charger_id].append(transaction)
        fitting = {o.pk: [t.pk for t in started[o.charger_id] if o.may_end(t)] for o in loose}
        for o in loose:
            fitting[o.pk].sort(key=partial(operator.ne, o.reported_transaction_id))
        return {pk: ids[:MAX_CANDIDATES] for pk, ids in fitting.items()}

    def may_end(self, transaction: Transaction) -> bool:
        """Return whether this may end `transaction`, an open one of its charger, by start time, tag and meter.

        A missing or unreadable member excludes no transaction.
        """
        timestamp, meter, id_tag = (self.request.get(name) for name in ("timestamp", "meterStop", "idTag"))
        ended_at = parse_or(timestamp, self.received_at) if isinstance(timestamp, str) else self.received_at
        start = transaction.meter_start
        is_below = (
            isinstance(meter, int | float) and 0 <= meter <= MOST and energy.is_register(start) and meter < start
        )
        is_other = isinstance(id_tag, str) and id_tag and id_tag.upper() != transaction.id_tag.upper()
        return transaction.start_time <= ended_at and not is_below and not is_other
