"""Parts of reports that chargers deliver after their answer to a command."""

from django.db import models

from chargers.models import Charger
from commands.fields import OrderedJSONField
from commands.models.command import Command
from core.db.sealing import SealedField


class ReportPart(models.Model):
    """One message of a report, such as a NotifyReport of OCPP 2.0.1. Parts may arrive in any order and repeatedly."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="report_parts")
    action = models.CharField(max_length=40)
    request_id = models.BigIntegerField(help_text="The id of the command that requested the report.")
    seq_no = models.BigIntegerField(null=True, help_text="Empty for messages that are not numbered.")
    is_last = models.BooleanField()
    items = OrderedJSONField(help_text="The list in the message, without secrets.")
    digest = models.CharField(max_length=32, editable=False, help_text="Of the items.")
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


class CustomerInformationPart(models.Model):
    """One message with what a charger has stored about a customer (OCPP 2.0.1 N09); it is deleted with its command.

    It is encrypted, because it is personal data, which only users who may view the command may read.
    """

    command = models.ForeignKey(Command, models.CASCADE, related_name="customer_information")
    seq_no = models.BigIntegerField()
    is_last = models.BooleanField()
    data = SealedField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["command", "seq_no"]
        default_permissions = ()  # parts are shown with their command
        constraints = [
            models.UniqueConstraint(fields=["command", "seq_no"], name="one_row_a_customer_information_part")
        ]

    def __str__(self) -> str:
        return f"{self.command} {self.seq_no}"
