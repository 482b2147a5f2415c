"""A command to a charger: a row before it is a task, and the truth about it ever after."""

from uuid import uuid4

from django.db import models
from django.db.models.functions import Now

from chargers.audit import SYSTEM_ACTOR
from chargers.models import Charger
from chargers.numbers import next_free_id
from commands.fields import OrderedJSONField, PayloadField
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
# The charger said nothing: these alone get a simulated reply.
SILENT = (TIMED_OUT, NOT_CONNECTED, CONNECTION_LOST)


def new_task_id():
    """One id for the command, its Celery task and its OCPP message: 36 characters, as J §4.1.4 allows."""
    return str(uuid4())


def action_choices():
    """The actions of the table, which itself is made of functions that use these models."""
    from commands.actions.table import ACTIONS

    return [(name, name) for name in ACTIONS]


def next_request_id():
    """A requestId nobody else was given (GetLog, SignedUpdateFirmware)."""
    return next_free_id("commands_request_id", Command.objects.none())


class Command(models.Model):
    """`state` goes queued, sent, finished, and never back. A simulated reply is never a `response`."""

    task_id = models.CharField(max_length=36, default=new_task_id, editable=False)
    charger = models.ForeignKey(Charger, models.PROTECT, related_name="commands", db_index=False)
    action = models.CharField(max_length=40, choices=action_choices)
    payload = PayloadField()
    timeout = models.FloatField(help_text="Seconds the charger has to answer, from when it was sent.")

    state = models.CharField(max_length=10, default=QUEUED, choices=[(s, s) for s in (QUEUED, SENT, FINISHED)])
    outcome = models.CharField(max_length=20, blank=True, choices=[(o, o) for o in OUTCOMES])
    simulated = models.BooleanField(default=False)
    response = OrderedJSONField(null=True, blank=True)
    simulated_response = OrderedJSONField(null=True, blank=True)
    error = OrderedJSONField(null=True, blank=True, help_text="code, description, details")
    late_response = OrderedJSONField(null=True, blank=True, help_text="Came after the task was finished.")
    warning = models.TextField(blank=True)
    transaction = models.ForeignKey(Transaction, models.SET_NULL, null=True, blank=True, related_name="commands")

    request_id = models.IntegerField(
        null=True, blank=True, editable=False, help_text="By which the charger's notifications name it."
    )
    progress = OrderedJSONField(
        default=list,
        db_default=models.Value([], OrderedJSONField()),
        editable=False,
        help_text="What the charger notified since: status, at.",
    )
    follows = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="followed_by", help_text="What made us send it."
    )
    retry_full = models.BooleanField(
        default=False, db_default=False, help_text="A local list that fails is followed by a Full one."
    )

    claim_token = models.CharField(
        max_length=32, blank=True, editable=False, help_text="Of the socket that wrote it."
    )

    requested_by = models.CharField(max_length=150, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)  # by the clock that says when it was sent
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    # When it was asked for and sent, by `time.monotonic` of this process. Waits are counted from these, so that
    # nobody waits for a clock that was set. None where it was not found by `commands.queries`, or not sent.
    asked_s = sent_s = None
    next_command = None  # when it has ended: the command that its charger is asked next

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A charger is asked one thing at a time (J §4.1.1): the database holds it, whoever is in a hurry.
            models.UniqueConstraint(
                fields=["charger"], name="one_sent_command_a_charger", condition=models.Q(state=SENT)
            ),
            # Not `unique=True`, which brings a second index, for LIKE.
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
            models.Index(
                fields=["created_at"],
                name="commands_of_our_own",
                condition=~models.Q(state=FINISHED) & models.Q(requested_by=SYSTEM_ACTOR),
            ),
        ]

    def __str__(self):
        return f"{self.action} to {self.charger}"

    @property
    def result(self):
        """The charger's response or, plainly marked by `simulated`, what stands in for it."""
        return self.response if self.response is not None else self.simulated_response

    @property
    def status(self):
        """What the charger's answer says, "" where it has no such member."""
        return self.response.get("status", "") if isinstance(self.response, dict) else ""
