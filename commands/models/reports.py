"""Parts of reports that chargers deliver after their answer to a command."""

from django.db import models

from chargers.models import Charger
from commands.fields import OrderedJSONField


class ReportPart(models.Model):
    """One message of a report, such as a NotifyReport of OCPP 2.0.1. Parts may arrive in any order and repeatedly."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="report_parts")
    action = models.CharField(max_length=40)
    request_id = models.BigIntegerField(help_text="The id of the command that requested the report.")
    seq_no = models.IntegerField(null=True, help_text="Empty for messages that are not numbered.")
    is_last = models.BooleanField()
    items = OrderedJSONField(help_text="The list in the message, without secrets.")
    digest = models.CharField(max_length=32, editable=False, help_text="Of the items, for messages without a number.")
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["charger", "action", "request_id", "seq_no", "id"]
        default_permissions = ()  # parts are shown with their command
        constraints = [
            models.UniqueConstraint(
                fields=["charger", "action", "request_id", "seq_no", "digest"],
                nulls_distinct=False,
                name="one_row_a_report_part",
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.request_id}.{self.seq_no}"
