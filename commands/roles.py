"""The roles that every installation begins with: groups of Django's, to be given to users and changed at will."""

from django.apps import apps
from django.db import connections, transaction

from chargers import audit
from chargers.models import AuditEntry
from chargers.models.access import FORMER

MADE = "roles"  # the kind of the audit entry

READ = [f"{app}.view" for app in ("chargers", "transactions", "commands", "django_celery_results")]
OWN_TOKENS = ["chargers.add_apitoken", "chargers.change_apitoken", "chargers.delete_apitoken"]
COMMAND = [
    *("commands.add_command", "transactions.change_transaction"),
    *(f"transactions.{verb}_reservation" for verb in ("add", "change", "delete")),
]
OWN = [("chargers", "charger"), ("transactions", "idtag"), ("commands", "chargingprofile"), ("commands", "firmware")]
MANAGE = [f"{app}.{verb}_{model}" for app, model in OWN for verb in ("add", "change", "delete")]
MANAGE += ["transactions.delete_unknownidtag", "commands.change_certificaterequest"]
EVERY = "Every charger"
MANAGERS = "Managers"
# Name: permissions; `app.view` stands for every `view_…` there is in an app.
ROLES = {
    "Viewers": [*READ, *OWN_TOKENS],
    "Operators": [*READ, *OWN_TOKENS, *COMMAND],
    MANAGERS: [*READ, *OWN_TOKENS, *COMMAND, *MANAGE],
    EVERY: ["chargers.reach_every_charger"],
}
NOT_BY_ROLE = ("view_auditentry", "view_chargergroup")


def make(sender, using, **_):
    """After `migrate`, once: make the roles. Who had a token of the version before may do as before.

    That it was done is in the audit log, of which this entry is kept for ever: what is removed stays removed.
    """
    from django.contrib.auth.models import Group, User

    with connections[using].cursor() as cursor:
        there = set(connections[using].introspection.table_names(cursor))
    if not {"chargers_auditentry", "chargers_apitoken"} <= there:  # `migrate` of some apps, or up to some version
        return
    with transaction.atomic(using=using):
        if AuditEntry.objects.using(using).filter(kind=MADE).exists():
            return
        made = []
        for name, wanted in ROLES.items():
            role, new = Group.objects.using(using).get_or_create(name=name)
            if new:
                role.permissions.set(_permissions(wanted, using))
                made.append(role)
        both = [role for role in made if role.name in (MANAGERS, EVERY)]
        held = User.objects.using(using).filter(auth_token_set__name__startswith=FORMER, is_superuser=False)
        for user in held.distinct():
            user.groups.add(*both)
        audit.record("created", MADE, "once", after={"roles": [role.name for role in made]})


def _permissions(wanted, using):
    permissions = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    named = {name for name in wanted if not name.endswith(".view")}
    seen = {name.removesuffix(".view") for name in wanted if name.endswith(".view")}
    for permission in permissions:
        app, codename = permission.content_type.app_label, permission.codename
        readable = app in seen and codename.startswith("view_") and codename not in NOT_BY_ROLE
        if readable or f"{app}.{codename}" in named:
            yield permission
