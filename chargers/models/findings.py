"""What was odd about a charger's messages: counted by member and kind, to be sent to the manufacturer."""

from django.db import models

from chargers import budgets
from chargers.models.charger import Charger

# How a message departed from OCPP, with the meaning that pages and documents give.
KINDS = {
    "too_long": "A text is longer than the standard allows.",
    "unknown_field": "The standard does not know this member.",
    "wrong_type": "A value is of another type than the standard wants.",
    "not_a_number": "A text is not a number as the standard writes one.",
    "unknown_value": "The value is none of those that the standard lists.",
    "null": "A member is null.",
    "missing": "A required member, or every item of a list, is missing.",
    "bad_item": "An item of a list cannot be read.",
    "out_of_range": "A number is outside the range of the standard, or cannot be true.",
    "clock": "A timestamp cannot be read, lies before 2010 or in the future.",
    "unreadable": "A frame or a text cannot be read in part: it is not JSON, or holds control characters.",
    "rejected": "The message was refused: nothing in it could be used.",
}
LONGEST_FIELD, LONGEST_EXAMPLE = 255, 500  # characters


class Finding(models.Model):
    """One way in which one member of one action of a charger departs from OCPP, and how often it has."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="findings")
    action = models.CharField(max_length=60, blank=True, help_text="With Response behind it for answers to commands.")
    field = models.CharField(max_length=LONGEST_FIELD, blank=True, help_text="Empty for the message as a whole.")
    kind = models.CharField(max_length=20, choices=[(kind, kind) for kind in KINDS])
    count = models.BigIntegerField(help_text="Messages in which it was found.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    example = models.TextField(blank=True, help_text="The latest value as sent, as JSON; secrets are hidden.")

    class Meta:
        ordering = ["-last_seen", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["charger", "action", "field", "kind"], name="one_row_a_finding")
        ]
        indexes = [models.Index(fields=["-last_seen", "-id"], name="findings_by_time")]

    def __str__(self) -> str:
        return f"{self.charger} {self.action} {self.field}: {self.kind}"

    @property
    def meaning(self) -> str:
        budget = budgets.exceeded(self.field, self.kind)
        return (
            f"It is over its budget of {budget.counts}. {budget.consequence}" if budget else KINDS.get(self.kind, "")
        )
