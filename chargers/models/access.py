"""Groups of chargers, API tokens, and the entries of the audit log."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q, QuerySet
from knox.models import AbstractAuthToken, get_digest_token
from knox.settings import CONSTANTS

from chargers.models.charger import Charger


class ChargerGroup(models.Model):
    """Chargers, and the users who may reach them without the permission to reach every charger."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=255, blank=True)
    chargers = models.ManyToManyField(Charger, related_name="groups", blank=True)
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="charger_groups", blank=True)
    roles = models.ManyToManyField("auth.Group", related_name="charger_groups", blank=True)

    class Meta:
        ordering = ["name"]
        permissions = [("reach_every_charger", "Can reach every charger, whatever its group")]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def of(user: Any) -> QuerySet["ChargerGroup"]:
        """Return the groups that name `user` or a role of the user."""
        return ChargerGroup.objects.filter(Q(users=user) | Q(roles__user=user)).distinct()


class ApiToken(AbstractAuthToken):
    """A named token for the API, shown once and stored as a hash. To revoke it, delete it."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=128, unique=True, editable=False)
    token_key = models.CharField(max_length=25, db_index=True, editable=False)
    name = models.CharField(max_length=100, help_text="Its purpose, or the place where it is stored.")
    last_used = models.DateTimeField(null=True, blank=True, editable=False, help_text="With a precision of one hour.")

    class Meta:
        ordering = ["user", "name"]
        verbose_name = "API token"
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_token_a_name")]

    def __str__(self) -> str:
        return f"{self.user} {self.name}"

    @staticmethod
    def make(user: Any, name: str, expires_at: datetime | None = None) -> tuple["ApiToken", str]:
        """Create a token; return (`ApiToken`, the token itself as text), which cannot be read later."""
        digest, token = get_digest_token()
        row = ApiToken(user=user, name=name, expiry=expires_at, digest=digest)
        row.token_key = token[: CONSTANTS.TOKEN_KEY_LENGTH]
        row.save()
        return row, token


class AuditEntry(models.Model):
    """An action of a user or of the system; written in the transaction of the action, and never changed."""

    at = models.DateTimeField(db_index=True)
    who = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True, help_text="Address of the client.")
    action = models.CharField(max_length=20)
    kind = models.CharField(max_length=30, help_text="Kind of the object.")
    name = models.CharField(max_length=300, help_text="Name of the object.")
    charger = models.ForeignKey(Charger, models.SET_NULL, null=True, blank=True, db_index=False)
    before = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["charger", "-id"], name="audit_of_charger"),
            models.Index(fields=["who", "-id"], name="audit_by_who"),
            models.Index(fields=["kind", "-id"], name="audit_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.who or 'somebody'} {self.action} {self.kind} {self.name}"
