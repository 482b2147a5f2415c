"""The roles of a new installation: groups of Django, which administrators assign to users and may change."""

from django.apps import apps
from django.db import connections, transaction

from chargers import audit
from chargers.models import AuditEntry
from chargers.models.access import FORMER

MADE = "roles"  # kind of the audit entries
FIRST = "once"  # name of the first audit entry

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
# {name: permissions}; `app.view` stands for all `view_…` permissions of the app.
ROLES = {
    "Viewers": [*READ, *OWN_TOKENS],
    "Operators": [*READ, *OWN_TOKENS, *COMMAND],
    MANAGERS: [*READ, *OWN_TOKENS, *COMMAND, *MANAGE],
    EVERY: ["chargers.reach_every_charger"],
}
NOT_BY_ROLE = ("view_auditentry", "view_chargergroup", "view_webhook", "view_delivery")
WEBHOOKS = [f"chargers.{verb}_webhook" for verb in ("view", "add", "change", "delete")]
WEBHOOKS += ["chargers.view_delivery", "chargers.change_delivery"]
ROLES[MANAGERS] += WEBHOOKS
# {name of the audit entry: {role: permissions}} that later versions have added. Roles of an earlier version get them
# once; changes by hand stay.
SEEN_LATER = ["chargers.view_event", "chargers.view_message"]
SEEN_LATER += ["commands.view_batch", "commands.view_batchitem", "commands.view_schedule"]
GIVEN_LATER = {
    "events, messages, batches": {
        "Viewers": SEEN_LATER,
        "Operators": SEEN_LATER,
        MANAGERS: [*SEEN_LATER, *WEBHOOKS],
    },
}


def make(sender, using, **_):
    """Create the roles after the first `migrate`; later give them the permissions that this version adds.

    The audit log records what was done. These entries are never deleted, so removed roles stay removed.
    """
    with connections[using].cursor() as cursor:
        tables = set(connections[using].introspection.table_names(cursor))
    if not {"chargers_auditentry", "chargers_apitoken"} <= tables:  # `migrate` of some apps, or up to some version
        return
    with transaction.atomic(using=using):
        done = set(AuditEntry.objects.using(using).filter(kind=MADE).values_list("name", flat=True))
        if FIRST not in done:
            _make_all(using)
        for name in GIVEN_LATER.keys() - done:
            changed = _give(GIVEN_LATER[name], using) if FIRST in done else []
            audit.record("changed", MADE, name, after={"roles": changed})


def _make_all(using):
    """Create the roles; users with a token of the version before roles get those that allow the same as before."""
    from django.contrib.auth.models import Group, User

    made = []
    for name, wanted in ROLES.items():
        role, new = Group.objects.using(using).get_or_create(name=name)
        if new:
            role.permissions.set(_permissions(wanted, using))
            made.append(role)
    both = [role for role in made if role.name in (MANAGERS, EVERY)]
    former_users = User.objects.using(using).filter(auth_token_set__name__startswith=FORMER, is_superuser=False)
    for user in former_users.distinct():
        user.groups.add(*both)
    audit.record("created", MADE, FIRST, after={"roles": [role.name for role in made]})


def _give(later, using):
    """Add permissions to the roles that exist; returns their names."""
    from django.contrib.auth.models import Group

    changed = []
    for role in Group.objects.using(using).filter(name__in=later):
        role.permissions.add(*_permissions(later[role.name], using))
        changed.append(role.name)
    return changed


def _permissions(wanted, using):
    permissions = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    named = {name for name in wanted if not name.endswith(".view")}
    seen = {name.removesuffix(".view") for name in wanted if name.endswith(".view")}
    for permission in permissions:
        app, codename = permission.content_type.app_label, permission.codename
        readable = app in seen and codename.startswith("view_") and codename not in NOT_BY_ROLE
        if readable or f"{app}.{codename}" in named:
            yield permission
