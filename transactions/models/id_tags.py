"""Tokens of drivers, and tokens that were presented and are not known."""

from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.functions import Upper

from chargers.models import Charger, ChargerGroup
from transactions.services import key_codes
from transactions.services.key_codes import KEY_CODE

PRINTABLE = RegexValidator(r"^[\x20-\x7e]+$", "Only printable ASCII characters.")
LANGUAGE = RegexValidator(r"^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$", "A language tag such as de or en-US.")
EXISTS_ALREADY = "This id tag exists already with this type (compared without case)."
MASTER_PASS_WITHOUT_GROUP = "A master pass needs the group that its chargers have as MasterPassGroupId."
NO_AUTHORIZATION = "NoAuthorization"


class IdTagQuerySet(models.QuerySet):
    def usable_at(self, charger: Charger) -> "IdTagQuerySet":
        """Return those that are not limited to other chargers than `charger`."""
        chargers = IdTag.chargers.through.objects.filter(idtag=OuterRef("pk"))
        groups = IdTag.groups.through.objects.filter(idtag=OuterRef("pk"))
        here = Exists(chargers.filter(charger=charger)) | Exists(groups.filter(chargergroup__chargers=charger))
        return self.filter(here | ~Exists(chargers) & ~Exists(groups))


class IdTag(models.Model):
    """An id token of a driver: its text, compared without case, and its type (OCPP 2.0.1 IdTokenType, 1.6 §7.28)."""

    STATUSES = (
        *("Accepted", "Blocked", "Expired", "Invalid"),
        *("NoCredit", "NotAllowedTypeEVSE", "NotAtThisLocation", "NotAtThisTime"),  # none of OCPP 1.6
    )
    TYPES = ("", "Central", "eMAID", "ISO14443", "ISO15693", KEY_CODE, "Local", "MacAddress")

    id_tag = models.CharField(max_length=255, validators=[PRINTABLE])
    type = models.CharField(
        max_length=20,
        choices=[(t, t or "any") for t in TYPES],
        blank=True,
        default="",
        db_default="",
        help_text="Type of the token; empty matches any type. OCPP 1.6 has no types.",
    )
    status = models.CharField(max_length=20, choices=[(s, s) for s in STATUSES], default="Accepted")
    expiry_date = models.DateTimeField(null=True, blank=True)
    parent_id_tag = models.CharField(max_length=255, blank=True, help_text="Tags with the same parent are a group.")
    master_pass = models.BooleanField(
        default=False, db_default=False, help_text="It may stop every transaction, and starts none."
    )
    language = models.CharField(
        max_length=8, blank=True, default="", db_default="", validators=[LANGUAGE], help_text="Such as de or en-US."
    )
    message = models.CharField(
        max_length=512,
        blank=True,
        default="",
        db_default="",
        help_text="Shown to the driver by chargers of OCPP 2.0.1.",
    )
    chargers = models.ManyToManyField(
        Charger,
        blank=True,
        related_name="+",
        help_text="Where it may charge; without chargers and groups: everywhere.",
    )
    groups = models.ManyToManyField(
        ChargerGroup,
        blank=True,
        related_name="+",
        verbose_name="charger groups",
        help_text="Where it may charge, too.",
    )
    description = models.CharField(max_length=255, blank=True)
    concurrent_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Transactions it may have under way at a time; empty: any number."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_authorized_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a charger last sent it by Authorize."
    )

    objects = IdTagQuerySet.as_manager()

    class Meta:
        ordering = ["id_tag", "type"]
        constraints = [
            models.UniqueConstraint(
                Upper("id_tag"),
                "type",
                name="one_tag_whatever_its_case",
                violation_error_message=EXISTS_ALREADY,
            )
        ]

    def __str__(self) -> str:
        if self.type == KEY_CODE:
            return f"{self.shown_id_tag} ({self.type}, id {self.pk})"
        return f"{self.id_tag} ({self.type})" if self.type else self.id_tag

    @property
    def shown_id_tag(self) -> str:
        """Its text as it may be shown: a PIN is hidden."""
        return key_codes.shown(self.id_tag, self.type)

    def clean(self) -> None:
        """Raise `ValidationError` for a master pass without a group, by which its chargers would recognize it."""
        if self.master_pass and not self.parent_id_tag:
            raise ValidationError({"parent_id_tag": MASTER_PASS_WITHOUT_GROUP})

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and remove the tag from the unknown tags."""
        super().save(*args, **kwargs)
        unknown = UnknownIdTag.objects.filter(id_tag__iexact=self.id_tag)
        (unknown.filter(type__in=["", self.type]) if self.type else unknown).delete()

    def verdict(self) -> str:
        """The status in answers to a charger: `Blocked` before `Expired` if a tag is both."""
        if self.status == "Accepted" and self.expiry_date and self.expiry_date <= datetime.now(UTC):
            return "Expired"
        return self.status


class UnknownIdTag(models.Model):
    """A tag that was presented and is not known here; accepting it makes it an `IdTag`."""

    id_tag = models.CharField(max_length=255)
    type = models.TextField(default="", db_default="", help_text="Empty in OCPP 1.6.")
    charger = models.ForeignKey(Charger, models.CASCADE, help_text="Where it was presented last.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    presented = models.PositiveIntegerField(help_text="How many times.")

    class Meta:
        ordering = ["-last_seen"]
        constraints = [models.UniqueConstraint(Upper("id_tag"), "type", name="one_unknown_tag_whatever_its_case")]

    def __str__(self) -> str:
        return self.id_tag

    def accept(self, **columns: Any) -> IdTag:
        """Return an `IdTag` for it with `columns`; one that exists already is not changed. Raises `ValidationError`.

        A type that OCPP does not have is not taken over: the tag then matches any type.
        """
        kind = self.type if self.type in IdTag.TYPES else ""
        same = IdTag.objects.filter(id_tag__iexact=self.id_tag, type=kind)
        known = same.first() or IdTag(id_tag=self.id_tag, type=kind, **columns)
        known.full_clean()
        known.save()
        return known
