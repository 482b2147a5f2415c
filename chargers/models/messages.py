"""Logged frames to and from chargers, written by `gateway.message_log` and dropped by whole days."""

from django.db import models

from chargers.models.charger import Charger

DIRECTIONS = ("in", "out")
KINDS = ("call", "result", "error", "other")
MAX_FRAME_LENGTH = 16_384  # characters of a frame that are stored


class Messages(models.QuerySet):
    """Messages, newest first. There are indexes by charger and time, by time, and of errors."""

    def of(self, charger: Charger) -> "Messages":
        """Filter by one charger (a `Charger` or its primary key)."""
        return self.filter(charger=charger)


class Message(models.Model):
    """A frame that was received or sent, its secrets masked. Few indexes and no constraints keep writes cheap."""

    # When the charger is deleted, its messages stay until the partition of their day is dropped.
    charger = models.ForeignKey(Charger, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    at = models.DateTimeField(help_text="When it was received or sent.")
    direction = models.CharField(max_length=3, choices=[(word, word) for word in DIRECTIONS])
    kind = models.CharField(max_length=6, choices=[(word, word) for word in KINDS])
    action = models.CharField(
        max_length=50, blank=True, help_text="Action of the call, or of the call that it answers."
    )
    message_id = models.CharField(max_length=36, blank=True)
    frame = models.TextField(help_text="As sent, except for masked secrets; cut at 16,384 characters.")
    is_error = models.BooleanField("error", help_text="A CALLERROR, or a frame that was refused.")

    objects = Messages.as_manager()

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["charger", "at"], name="messages_of_charger"),
            models.Index(fields=["at"], name="messages_by_time"),
            models.Index(fields=["at"], name="messages_with_errors", condition=models.Q(is_error=True)),
        ]

    def __str__(self) -> str:
        return f"{self.direction} {self.kind} {self.action}".strip()
