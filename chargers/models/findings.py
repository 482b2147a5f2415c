"""Deviations of a charger's messages from OCPP, counted by member and kind, for a report to the manufacturer."""

from django.db import models

from chargers.models.charger import Charger
from chargers.services import budgets

# How a message deviates from OCPP, with the explanation that pages and documents show.
KINDS = {
    "too_long": "A text is longer than the standard allows.",
    "unknown_field": "The standard does not define this member.",
    "wrong_type": "A value is of another type than the standard requires.",
    "not_a_number": "A text is not a number in the notation of the standard.",
    "unknown_value": "The standard does not list this value.",
    "null": "A member is null.",
    "missing": "A required member, or every item of a list, is missing.",
    "bad_item": "An item of a list cannot be read.",
    "out_of_range": "A number is outside the range of the standard, or is implausible.",
    "clock": "A timestamp cannot be read, lies before 2010 or in the future.",
    "reused": "An id that should stand for one thing is used for another one, such as a second transaction.",
    "unreadable": "A frame or a text cannot be read in part: it is not JSON, or contains control characters.",
    "rejected": "The message was refused, because nothing in it could be used.",
}
MAX_FIELD_LENGTH, MAX_EXAMPLE_LENGTH = 255, 500


class Finding(models.Model):
    """One deviation of one member of one action of a charger from OCPP, and its count."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="findings")
    action = models.CharField(max_length=60, blank=True, help_text="Ends with Response for answers to commands.")
    field = models.CharField(max_length=MAX_FIELD_LENGTH, blank=True, help_text="Empty for the message as a whole.")
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
        if budget:
            return f"It exceeds its budget of {budget.counts}. {budget.consequence}"
        return KINDS.get(self.kind, "")
