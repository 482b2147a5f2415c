"""A command to a charger. The row exists before the Celery task, and holds the state of the command."""

from collections.abc import Hashable
from typing import Any
from uuid import uuid4

from django.db import models
from django.db.models.functions import Now

from chargers.models import Charger
from chargers.services.audit import SYSTEM_ACTOR
from commands.fields import OrderedJSONField, PayloadField
from core.db.numbers import next_free_id
from core.ocpp.schemas import JSON
from core.ocpp.versions import BY_SUBPROTOCOL, Version
from transactions.models import Transaction

QUEUED, SENT, FINISHED = "queued", "sent", "finished"

ANSWERED = "answered"
CALL_ERROR = "call_error"
INVALID_RESPONSE = "invalid_response"
TIMED_OUT = "timed_out"
NOT_CONNECTED = "not_connected"
CONNECTION_LOST = "connection_lost"
CANCELLED = "cancelled"
FAILED = "failed"
OUTCOMES = (
    ANSWERED,
    CALL_ERROR,
    INVALID_RESPONSE,
    TIMED_OUT,
    NOT_CONNECTED,
    CONNECTION_LOST,
    CANCELLED,
    FAILED,
)
# Without an answer of the charger; only these get a simulated reply.
SILENT = (TIMED_OUT, NOT_CONNECTED, CONNECTION_LOST)

SUCCESSES = ("Accepted", "Unlocked", "Scheduled", "RebootRequired", "AcceptedCanceled")  # statuses of answers

# Whether the effect of a command was seen in the records, after the charger had accepted it.
PENDING, CONFIRMED, NOT_SEEN, NOT_APPLICABLE = "pending", "confirmed", "not_seen", "not_applicable"
CONFIRMATIONS = (PENDING, CONFIRMED, NOT_SEEN, NOT_APPLICABLE)


def new_task_id() -> str:
    """One id for the command, its Celery task and its OCPP message: 36 characters, as J §4.1.4 allows."""
    return str(uuid4())


def next_request_id() -> int:
    """An unused requestId (GetLog, SignedUpdateFirmware)."""
    return next_free_id("commands_request_id", Command.objects.none())


class Command(models.Model):
    """One command. `state` changes from queued to sent to finished only. A simulated reply is never a `response`."""

    task_id = models.CharField(max_length=36, default=new_task_id, editable=False)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="commands", db_index=False)
    ocpp_version = models.CharField(max_length=20, editable=False, help_text="The version of action and payload.")
    action = models.CharField(max_length=40)
    payload = PayloadField()
    timeout = models.FloatField(help_text="Seconds that the charger has to answer after the command is sent.")

    state = models.CharField(max_length=10, default=QUEUED, choices=[(s, s) for s in (QUEUED, SENT, FINISHED)])
    outcome = models.CharField(max_length=20, blank=True, choices=[(o, o) for o in OUTCOMES])
    simulated = models.BooleanField(default=False)
    response = OrderedJSONField(null=True, blank=True)
    simulated_response = OrderedJSONField(null=True, blank=True)
    error = OrderedJSONField(null=True, blank=True, help_text="code, description, details")
    late_response = OrderedJSONField(null=True, blank=True, help_text="Received after the task was finished.")
    warning = models.TextField(blank=True)
    transaction = models.ForeignKey(Transaction, models.SET_NULL, null=True, blank=True, related_name="commands")

    request_id = models.IntegerField(
        null=True, blank=True, editable=False, help_text="Id of this command in notifications of the charger."
    )
    progress = OrderedJSONField(
        default=list,
        db_default=models.Value([], OrderedJSONField()),
        editable=False,
        help_text="Notifications of the charger: status, at.",
    )
    report = OrderedJSONField(
        null=True, blank=True, editable=False, help_text="The whole report that was delivered, if it is small."
    )
    follows = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="followed_by",
        help_text="Command that caused this one.",
    )
    retry_full = models.BooleanField(
        default=False, db_default=False, help_text="Send a Full list if a Differential one fails."
    )

    claim_token = models.CharField(
        max_length=32, blank=True, editable=False, help_text="Token of the socket that sent it."
    )

    requested_by = models.CharField(max_length=150, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)  # by the same clock as `sent_at`
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the charger reported the end of its delivery; if nothing is delivered, when finished.",
    )

    # Set by `services.confirmation`; it never changes `outcome`.
    confirmation = models.CharField(
        max_length=14,
        default=NOT_APPLICABLE,
        db_default=NOT_APPLICABLE,
        editable=False,
        choices=[(c, c) for c in CONFIRMATIONS],
        help_text="Whether its effect was seen after the answer.",
    )
    confirmed_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When its effect was seen.")
    confirmation_detail = models.TextField(
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="What was seen, or was expected and not seen.",
    )
    confirm_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when its effect is looked for."
    )
    look_at = models.DateTimeField(null=True, editable=False, help_text="When its effect is looked for next.")
    noted = OrderedJSONField(null=True, editable=False, help_text="What was known before its effect.")

    # Times of submission and sending by `time.monotonic` of this process. Waits are counted from these, because the
    # wall clock may be set. `services.queries` sets them, `sent_s` only of a command that was sent.
    submitted_s: float
    sent_s: float
    is_first: bool  # set by `services.queries`: whether it is the first unfinished command of its charger
    next_command: "Command | None" = None  # set when this one is finished: the next one of the charger
    # Set by `services.confirmation`: the commands that read back what it changed, oldest first, the transaction that
    # `noted` names, and what a later command has set again.
    read_backs: "list[Command]"
    noted_transaction: Transaction | None
    set_again: frozenset[Hashable]

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A charger has one command under way at a time (J §4.1.1); the database enforces it against races.
            models.UniqueConstraint(
                fields=["charger"], name="one_sent_command_a_charger", condition=models.Q(state=SENT)
            ),
            # Not `unique=True`, because that creates a second index for LIKE.
            models.UniqueConstraint(fields=["task_id"], name="one_command_a_task"),
            models.UniqueConstraint(
                fields=["requested_by", "idempotency_key"],
                name="one_command_an_idempotency_key",
                condition=~models.Q(idempotency_key=""),
            ),
        ]
        indexes = [
            models.Index(fields=["charger", "-id"], name="commands_of_charger"),
            models.Index(fields=["charger", "id"], name="unfinished_commands", condition=~models.Q(state=FINISHED)),
            models.Index(fields=["created_at"], name="commands_by_time"),
            models.Index(fields=["action", "-id"], name="commands_by_action"),
            models.Index(fields=["outcome", "-id"], name="commands_by_outcome"),
            models.Index(
                fields=["charger", "sent_at"],
                name="remote_starts_without_sequel",
                condition=models.Q(action="RemoteStartTransaction", transaction=None),
            ),
            models.Index(fields=["look_at"], name="commands_to_confirm", condition=models.Q(confirmation=PENDING)),
            models.Index(fields=["-id"], name="commands_not_confirmed", condition=models.Q(confirmation=NOT_SEEN)),
            models.Index(
                fields=["created_at"],
                name="commands_of_our_own",
                condition=~models.Q(state=FINISHED) & models.Q(requested_by=SYSTEM_ACTOR),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} to {self.charger}"

    @property
    def version(self) -> Version:
        """The OCPP version of its action and payload, whatever its charger speaks by now."""
        return BY_SUBPROTOCOL[self.ocpp_version]

    @property
    def result(self) -> Any:
        """The response of the charger, or the simulated one if `simulated` is set."""
        return self.response if self.response is not None else self.simulated_response

    @property
    def answer(self) -> JSON:
        """The response of the charger, {} without one."""
        return self.response if isinstance(self.response, dict) else {}

    @property
    def status(self) -> str:
        """The status in the response of the charger, "" without one."""
        return self.answer.get("status", "")
