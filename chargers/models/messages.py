"""What passed between chargers and us, frame by frame: written by `chargers.message_log`, dropped by whole days."""

from django.db import models

from chargers.models.charger import Charger

DIRECTIONS = ("in", "out")
KINDS = ("call", "result", "error", "other")
LONGEST_FRAME = 16_384  # characters of a frame that are kept


class Messages(models.QuerySet):
    """Newest first. What has an index is a charger's, what passed in a time, and errors."""

    def of(self, charger):
        """Those of one charger (a `Charger` or its primary key)."""
        return self.filter(charger=charger)


class Message(models.Model):
    """A frame that passed, with its secrets masked. One more row a frame: it has few indexes, and no constraint."""

    # When its charger is deleted they stay until their day goes.
    charger = models.ForeignKey(Charger, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    at = models.DateTimeField(help_text="When it passed.")
    direction = models.CharField(max_length=3, choices=[(word, word) for word in DIRECTIONS])
    kind = models.CharField(max_length=6, choices=[(word, word) for word in KINDS])
    action = models.CharField(max_length=50, blank=True, help_text="Of the call, also of one that it answers.")
    message_id = models.CharField(max_length=36, blank=True)
    frame = models.TextField(help_text="As sent, but for its secrets; cut at 16,384 characters.")
    is_error = models.BooleanField("error", help_text="A CALLERROR, or a frame that was refused.")

    objects = Messages.as_manager()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["charger", "at"], name="messages_of_charger"),
            models.Index(fields=["at"], name="messages_by_time"),
            models.Index(fields=["at"], name="messages_with_errors", condition=models.Q(is_error=True)),
        ]

    def __str__(self):
        return f"{self.direction} {self.kind} {self.action}".strip()
