"""Refused handshakes, one row for each charger id and reason, with the number of attempts."""

from django.db import models

from chargers.models.charger import Charger

KINDS = [
    ("unknown", "no charger with this id is known"),
    ("credentials", "its key, certificate or network is not accepted"),
    ("subprotocol", "speaks another version of OCPP"),
    ("upgrade", "the request is not a WebSocket handshake"),
    ("path", "the path names no charger"),
]


class RefusalQuerySet(models.QuerySet):
    def settled(self) -> "RefusalQuerySet":
        """Filter by chargers that have connected since."""
        connected_since = Charger.objects.filter(
            identity=models.OuterRef("charger_id"), connected_at__gt=models.OuterRef("last_at")
        )
        return self.filter(models.Exists(connected_since))

    def open(self) -> "RefusalQuerySet":
        """Filter by chargers that have not connected since; `is_known` tells whether the charger exists."""
        known = Charger.objects.filter(identity=models.OuterRef("charger_id"))
        connected_since = known.filter(connected_at__gt=models.OuterRef("last_at"))
        return self.filter(~models.Exists(connected_since)).annotate(is_known=models.Exists(known))


class Refusal(models.Model):
    """The latest answer to refused handshakes with one charger id, by kind of reason."""

    charger_id = models.CharField(max_length=255, blank=True, help_text='As in its URL; "" if the path has none.')
    kind = models.CharField(max_length=12, choices=KINDS)
    status = models.PositiveSmallIntegerField(help_text="The HTTP status of the last answer.")
    reason = models.CharField(max_length=500, help_text="The text of the last answer.")
    address = models.CharField(max_length=45, blank=True, help_text="Address of the last handshake.")
    count = models.PositiveBigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    objects = RefusalQuerySet.as_manager()

    class Meta:
        verbose_name = "refused connection"
        ordering = ["-last_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["charger_id", "kind"], name="one_row_a_refusal")]

    def __str__(self) -> str:
        return f"{self.charger_id or '(no id)'}: {self.kind}"
