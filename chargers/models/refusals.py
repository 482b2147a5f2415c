"""Handshakes that were refused: one row for each charger id and reason, however often it tried."""

from django.db import models

from chargers.models.charger import Charger

KINDS = [
    ("unknown", "no charger with this id is known"),
    ("credentials", "key, certificate or network do not fit"),
    ("subprotocol", "speaks another version of OCPP"),
    ("upgrade", "the request is no WebSocket handshake"),
    ("path", "the path names no charger"),
]


class RefusalQuerySet(models.QuerySet):
    def settled(self):
        """Those whose charger has been let in since."""
        came = Charger.objects.filter(
            charger_id=models.OuterRef("charger_id"), connected_at__gt=models.OuterRef("last_at")
        )
        return self.filter(models.Exists(came))

    def open(self):
        """Those whose charger has not been let in since; `is_known` says whether it is a charger at all."""
        known = Charger.objects.filter(charger_id=models.OuterRef("charger_id"))
        came = known.filter(connected_at__gt=models.OuterRef("last_at"))
        return self.filter(~models.Exists(came)).annotate(is_known=models.Exists(known))


class Refusal(models.Model):
    """Why a charger is not let in, as it was last answered."""

    charger_id = models.CharField(
        max_length=255, blank=True, help_text='As in its URL; "" where the path names none.'
    )
    kind = models.CharField(max_length=12, choices=KINDS)
    status = models.PositiveSmallIntegerField(help_text="The HTTP status of the last answer.")
    reason = models.CharField(max_length=500, help_text="What the last answer said.")
    address = models.CharField(max_length=45, blank=True, help_text="Where the last handshake came from.")
    count = models.PositiveBigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)

    objects = RefusalQuerySet.as_manager()

    class Meta:
        verbose_name = "refused connection"
        ordering = ["-last_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["charger_id", "kind"], name="one_row_a_refusal")]

    def __str__(self):
        return f"{self.charger_id or '(no id)'}: {self.kind}"
