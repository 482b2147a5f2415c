"""The columns of messages to other servers, which are tried several times."""

from django.db import models
from django.db.models.functions import Now

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


class AttemptsQuerySet(models.QuerySet):
    def replay(self) -> int:
        """Make them pending again, from the first attempt on; return how many."""
        return self.update(state=PENDING, attempts=0, due_at=Now(), error="")


class Attempts(models.Model):
    """The attempts to deliver a message. Its `state` is a column of the subclass, with the states that it has."""

    PENDING, DELIVERED, DEAD = PENDING, DELIVERED, DEAD

    attempts = models.PositiveIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(help_text="Time of the next attempt.")
    answered_status = models.PositiveIntegerField(null=True, blank=True, help_text="HTTP status of the last answer.")
    error = models.CharField(max_length=300, blank=True, default="", db_default="")
    delivered_at = models.DateTimeField(null=True, blank=True)

    objects = AttemptsQuerySet.as_manager()

    class Meta:
        abstract = True
