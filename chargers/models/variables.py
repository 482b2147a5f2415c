"""The device model of a charger: its variables, how their values changed, and its network profiles."""

from django.db import models
from django.db.models.functions import Now

from chargers.models.charger import Charger

ACTUAL = "Actual"
ATTRIBUTES = (ACTUAL, "Target", "MinSet", "MaxSet")
READ_WRITE, READ_ONLY = "ReadWrite", "ReadOnly"
# The columns that, with the charger, name one value. "" and null mean that the variable has no such part.
NAME = ["component", "component_instance", "evse_id", "connector_id", "variable", "instance", "attribute"]
# Characters of the texts in a name. OCPP 2.0.1 allows 50; longer ones are cut off, because an index must hold all.
MAX_NAME_LENGTH, MAX_PART_LENGTH = 255, 100
MAX_ENUM_LENGTH = 50  # of a value of an enum, which may be one that OCPP does not know


class Named(models.Model):
    """A row about one attribute of a variable."""

    component = models.CharField(
        max_length=MAX_PART_LENGTH, blank=True, help_text="Empty for a configuration key of OCPP 1.6."
    )
    component_instance = models.CharField(max_length=MAX_PART_LENGTH, blank=True)
    evse_id = models.PositiveIntegerField(null=True, blank=True)
    connector_id = models.PositiveIntegerField(null=True, blank=True)
    variable = models.CharField(max_length=MAX_NAME_LENGTH)
    instance = models.CharField(max_length=MAX_PART_LENGTH, blank=True)
    attribute = models.CharField(
        max_length=MAX_ENUM_LENGTH, default=ACTUAL, help_text="Actual, Target, MinSet or MaxSet."
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.component}.{self.variable}".lstrip(".")


class Variable(Named):
    """The value of one attribute of a variable, as the charger reported or accepted it.

    A configuration key of OCPP 1.6 is a variable with component "" (sections 5.3 and 5.8).
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="variables")
    value = models.TextField(null=True, blank=True)  # noqa: DJ001  (a variable may have no value)
    mutability = models.CharField(
        max_length=MAX_ENUM_LENGTH, default=READ_WRITE, help_text="ReadWrite, ReadOnly or WriteOnly."
    )
    persistent = models.BooleanField(null=True, help_text="Whether it survives a reboot. Empty if not reported.")
    constant = models.BooleanField(null=True, help_text="Whether it never changes. Empty if not reported.")
    characteristics = models.JSONField(
        null=True,
        blank=True,
        help_text="data_type, unit, values_list, min_limit, max_limit and supports_monitoring, as far as reported.",
    )
    reboot_required = models.BooleanField(default=False, help_text="It takes effect at the next boot.")
    reported_at = models.DateTimeField(auto_now=True, help_text="When it was last reported or accepted.")

    class Meta:
        ordering = NAME
        constraints = [
            models.UniqueConstraint(fields=["charger", *NAME], nulls_distinct=False, name="one_row_a_variable")
        ]
        indexes = [models.Index(fields=["variable"], name="variables_by_name")]

    @property
    def readonly(self) -> bool:
        return self.mutability == READ_ONLY


class VariableChange(Named):
    """A change of a stored value. A value that is stored for the first time is no change."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="variable_changes", db_index=False)
    old_value = models.TextField(null=True)  # noqa: DJ001  (a variable may have no value)
    new_value = models.TextField(  # noqa: DJ001  (as above)
        null=True, help_text="Empty if the charger no longer has the variable."
    )
    source = models.CharField(max_length=40, help_text="The message by which it became known.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["charger", "-id"], name="variable_changes_of_charger"),
            models.Index(fields=["at"], name="variable_changes_by_time"),
        ]


class NetworkProfile(models.Model):
    """The last SetNetworkProfile for one slot of a charger (OCPP 2.0.1 B09), and the connection in that slot."""

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="network_profiles")
    slot = models.IntegerField()
    status = models.CharField(max_length=MAX_ENUM_LENGTH, help_text="The answer to the last SetNetworkProfile.")
    answered_at = models.DateTimeField(help_text="When it was answered.")
    connection = models.JSONField(
        null=True, blank=True, help_text="The connectionData that was accepted last, without secrets."
    )
    security_profile = models.IntegerField(null=True, help_text="The one of the connection.")
    accepted_at = models.DateTimeField(null=True, help_text="When the connection was accepted.")

    class Meta:
        ordering = ["charger", "slot"]
        constraints = [models.UniqueConstraint(fields=["charger", "slot"], name="one_row_a_network_slot")]

    def __str__(self) -> str:
        return f"{self.charger} {self.slot}"
