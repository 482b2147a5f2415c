"""Tokens of drivers, and tokens that were presented and are not known."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Upper

from chargers.models import Charger
from core.db import bulk_sql

PRINTABLE = RegexValidator(r"^[\x20-\x7e]+$", "Only printable ASCII characters.")


class IdTag(models.Model):
    """A token of a driver, compared without case (OCPP 1.6 §7.28; chargers send more than its 20 characters)."""

    STATUSES = ("Accepted", "Blocked", "Expired", "Invalid")

    id_tag = models.CharField(max_length=255, validators=[PRINTABLE])
    type = models.CharField(
        max_length=20, blank=True, default="", db_default="", help_text="Type of the token; empty matches any type."
    )
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATUSES], default="Accepted")
    expiry_date = models.DateTimeField(null=True, blank=True)
    parent_id_tag = models.CharField(max_length=255, blank=True, help_text="Tags with the same parent are a group.")
    description = models.CharField(max_length=255, blank=True)
    concurrent_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Transactions it may have under way at a time; empty: any number."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id_tag"]
        constraints = [
            models.UniqueConstraint(
                Upper("id_tag"),
                name="one_tag_whatever_its_case",
                violation_error_message="This id tag exists already (compared without case).",
            )
        ]

    def __str__(self) -> str:
        return self.id_tag

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and remove the tag from the unknown tags."""
        super().save(*args, **kwargs)
        UnknownIdTag.objects.filter(id_tag__iexact=self.id_tag).delete()

    def verdict(self) -> str:
        """The status in answers to a charger: `Blocked` before `Expired` if a tag is both."""
        if self.status == "Accepted" and self.expiry_date and self.expiry_date <= datetime.now(UTC):
            return "Expired"
        return self.status

    @staticmethod
    def known(id_tags: Iterable[str]) -> dict[str, "IdTag"]:
        """Return {id tag in upper case: `IdTag`} of the known tags."""
        wanted = sorted({tag.upper() for tag in id_tags})
        rows = bulk_sql.query(KNOWN_TAGS, [bulk_sql.json(wanted)]) if wanted else []
        return {key: bulk_sql.instance(IdTag, row) for key, *row in rows}


KNOWN_TAGS = (
    f"SELECT upper(id_tag), {bulk_sql.columns(IdTag)} FROM transactions_idtag c "
    "WHERE upper(id_tag) = ANY(ARRAY(SELECT json_array_elements_text(%s)))"
)


class UnknownIdTag(models.Model):
    """A tag that was presented and is not known here; accepting it makes it an `IdTag`."""

    id_tag = models.CharField(max_length=255)
    charger = models.ForeignKey(Charger, models.CASCADE, help_text="Where it was presented last.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    presented = models.PositiveIntegerField(help_text="How many times.")

    class Meta:
        ordering = ["-last_seen"]
        constraints = [models.UniqueConstraint(Upper("id_tag"), name="one_unknown_tag_whatever_its_case")]

    def __str__(self) -> str:
        return self.id_tag

    def accept(self) -> IdTag:
        """Return an `IdTag` for it; one that exists already is not changed. Raises `ValidationError`."""
        known = IdTag.objects.filter(id_tag__iexact=self.id_tag).first() or IdTag(id_tag=self.id_tag)
        known.full_clean()
        known.save()
        return known
