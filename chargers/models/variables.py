"""The device model of a charger: its variables."""

from django.db import models

from chargers.models.charger import Charger

ACTUAL = "Actual"
READ_WRITE, READ_ONLY = "ReadWrite", "ReadOnly"
# The columns that, with the charger, name one value. "" and null mean that the variable has no such part.
NAME = ["component", "component_instance", "evse_id", "connector_id", "variable", "instance", "attribute"]


class Variable(models.Model):
    """The value of one attribute of a variable, as the charger reported or accepted it.

    A configuration key of OCPP 1.6 is a variable with component "" (sections 5.3 and 5.8).
    """

    charger = models.ForeignKey(Charger, models.CASCADE, related_name="variables")
    component = models.CharField(max_length=50, blank=True, help_text="Empty for a configuration key of OCPP 1.6.")
    component_instance = models.CharField(max_length=50, blank=True)
    evse_id = models.PositiveIntegerField(null=True, blank=True)
    connector_id = models.PositiveIntegerField(null=True, blank=True)
    variable = models.CharField(max_length=255)
    instance = models.CharField(max_length=50, blank=True)
    attribute = models.CharField(max_length=6, default=ACTUAL, help_text="Actual, Target, MinSet or MaxSet.")
    value = models.TextField(null=True, blank=True)  # noqa: DJ001  (a variable may have no value)
    mutability = models.CharField(max_length=9, default=READ_WRITE, help_text="ReadWrite, ReadOnly or WriteOnly.")
    characteristics = models.JSONField(
        null=True, blank=True, help_text="data_type, unit, values_list, min_limit and max_limit, as far as reported."
    )
    reboot_required = models.BooleanField(default=False, help_text="It takes effect at the next boot.")
    reported_at = models.DateTimeField(auto_now=True, help_text="When it was last reported or accepted.")

    class Meta:
        ordering = NAME
        constraints = [
            models.UniqueConstraint(fields=["charger", *NAME], nulls_distinct=False, name="one_row_a_variable")
        ]

    def __str__(self) -> str:
        return f"{self.component}.{self.variable}".lstrip(".")

    @property
    def readonly(self) -> bool:
        return self.mutability == READ_ONLY
