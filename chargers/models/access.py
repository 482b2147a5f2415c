"""Who may reach which charger, with which token; and who did what, when and from where."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from knox.models import AbstractAuthToken, get_digest_token
from knox.settings import CONSTANTS

from chargers.models.charger import Charger

FORMER = "from before "  # begins the names of tokens of the version without names


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

    def __str__(self):
        return self.name

    @staticmethod
    def chargers_of(user):
        """The primary keys of the chargers in the groups that name `user`, or a role of theirs: a subquery."""
        named = Q(chargergroup__users=user) | Q(chargergroup__roles__user=user)
        return ChargerGroup.chargers.through.objects.filter(named).values("charger")


class ApiToken(AbstractAuthToken):
    """A token for the API: kept as a hash, named, shown once. Deleted is revoked."""

    id = models.BigAutoField(primary_key=True)
    digest = models.CharField(max_length=128, unique=True, editable=False)
    token_key = models.CharField(max_length=25, db_index=True, editable=False)
    name = models.CharField(max_length=100, help_text="What it is for, or where it is kept.")
    last_used = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the hour.")

    class Meta:
        ordering = ["user", "name"]
        verbose_name = "API token"
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="one_token_a_name")]

    def __str__(self):
        return f"{self.user} {self.name}"

    @staticmethod
    def make(user, name, expires_at=None):
        """(`ApiToken`, the token itself as text), which is never to be seen again."""
        digest, token = get_digest_token()
        made = ApiToken(user=user, name=name, expiry=expires_at, digest=digest)
        made.token_key = token[: CONSTANTS.TOKEN_KEY_LENGTH]
        made.save()
        return made, token


class AuditEntry(models.Model):
    """Somebody did something: written beside what it tells of, never changed."""

    at = models.DateTimeField(db_index=True)
    who = models.CharField(max_length=150, blank=True)
    address = models.CharField(max_length=45, blank=True, help_text="From where.")
    action = models.CharField(max_length=20)
    kind = models.CharField(max_length=30, help_text="Of what.")
    name = models.CharField(max_length=300, help_text="Of which.")
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

    def __str__(self):
        return f"{self.who or 'somebody'} {self.action} {self.kind} {self.name}"
