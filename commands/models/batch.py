"""One command to many chargers: a row for each, which becomes a `Command` when it is due."""

from typing import TypedDict
from uuid import uuid4

from django.db import models

from chargers.models import Charger
from commands import sql
from commands.fields import OrderedJSONField
from commands.models.command import CONFIRMATIONS, FINISHED, QUEUED, SENT, Command
from commands.models.wanted import Wanted
from core.db import bulk_sql

WAITING, CREATED, CANCELLED, REFUSED = "waiting", "created", "cancelled", "refused"
STATES = (WAITING, CREATED, CANCELLED, REFUSED)
ENDED = (FINISHED, CANCELLED, REFUSED)
# The states that a batch counts, in the order in which an item takes them.
SHOWN = (WAITING, QUEUED, SENT, *ENDED)


class Progress(TypedDict):
    """How far a batch is: `progress` is from 0 to 1; the others have the number of items of each.

    `confirmations` has those of finished commands.
    """

    total: int
    progress: float
    simulated: int
    states: dict[str, int]
    outcomes: dict[str, int]
    confirmations: dict[str, int]


class Batch(Wanted):
    """One command to many chargers. `counts` is stored when all are finished; before, the items are counted.

    It is stored again when effects of its commands are seen later.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    timeout = models.FloatField(null=True, blank=True, help_text="Seconds each charger has to answer.")
    chosen = OrderedJSONField(help_text="The list or the filter of chargers, as submitted.")
    total = models.PositiveIntegerField(help_text="Number of chargers of the batch.")
    spread_seconds = models.PositiveIntegerField(default=0, help_text="Seconds over which the commands are spread.")
    start_at = models.DateTimeField(help_text="When the first charger gets its command.")
    note = models.CharField(max_length=255, blank=True)
    schedule = models.ForeignKey("Schedule", models.SET_NULL, null=True, blank=True, related_name="batches")

    requested_by = models.CharField(max_length=150, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=150, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    counts = OrderedJSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                name="one_batch_an_idempotency_key",
                condition=~models.Q(idempotency_key=""),
            )
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="batches_by_time"),
            models.Index(fields=["id"], name="unfinished_batches", condition=models.Q(finished_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.command_name} to {self.total} chargers"

    def progress(self) -> Progress:
        """The stored counts, or the present ones of a batch that is not finished."""
        return self.counts or self.counted()

    def counted(self) -> Progress:
        """`progress` counted from the items, by one query."""
        states, simulated = dict.fromkeys(SHOWN, 0), 0
        outcomes: dict[str, int] = {}
        confirmations = dict.fromkeys(CONFIRMATIONS, 0)
        for state, outcome, was_simulated, confirmation, count in bulk_sql.query(sql.COUNT_BATCH_ITEMS, [self.pk]):
            states[state] += count
            simulated += count if was_simulated else 0
            if outcome:
                outcomes[outcome] = outcomes.get(outcome, 0) + count
                confirmations[confirmation] += count
        ended, total = sum(states[state] for state in ENDED), sum(states.values())
        part = ended / total if total else 1.0
        return Progress(
            total=total,
            progress=part,
            simulated=simulated,
            states=states,
            outcomes=outcomes,
            confirmations=confirmations,
        )

    @property
    def state(self) -> str:
        """One of `waiting`, `running`, `cancelling`, `cancelled` and `finished`."""
        if self.finished_at:
            return "cancelled" if self.cancelled_at else "finished"
        if self.cancelled_at:
            return "cancelling"
        states = self.progress()["states"]
        return "waiting" if states[WAITING] == sum(states.values()) else "running"


class BatchItem(models.Model):
    """One charger of a batch. Once its `command` exists it is `created`, and the state of the command is shown."""

    batch = models.ForeignKey(Batch, models.CASCADE, related_name="items", db_index=False)
    charger = models.ForeignKey(Charger, models.CASCADE, related_name="+")
    due_at = models.DateTimeField()
    state = models.CharField(max_length=10, default=WAITING, choices=[(s, s) for s in STATES])
    reason = models.TextField(blank=True, help_text="Why it was refused.")
    command = models.OneToOneField(Command, models.CASCADE, null=True, blank=True, related_name="batch_item")

    class Meta:
        ordering = ["id"]
        verbose_name = "charger of a batch"
        verbose_name_plural = "chargers of batches"
        constraints = [models.UniqueConstraint(fields=["batch", "charger"], name="one_command_a_charger_of_a_batch")]
        indexes = [models.Index(fields=["due_at"], name="waiting_batch_items", condition=models.Q(state=WAITING))]

    def __str__(self) -> str:
        return f"{self.charger} of {self.batch}"

    @property
    def shown_state(self) -> str:
        """The state of its command, its own without one."""
        return self.command.state if self.command else self.state
