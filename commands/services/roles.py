"""The roles of a new installation: groups of Django, which administrators assign to users and may change."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction

from chargers.services import audit

READ = [f"{app}.view" for app in ("chargers", "transactions", "commands", "django_celery_results")]
OWN_TOKENS = ["chargers.add_apitoken", "chargers.change_apitoken", "chargers.delete_apitoken"]
COMMAND = [
    *("commands.add_command", "transactions.change_transaction", "transactions.change_outage"),
    *(f"transactions.{verb}_reservation" for verb in ("add", "change", "delete")),
    "chargers.change_incident",
]
OWN = [("chargers", "charger"), ("chargers", "site"), ("transactions", "idtag"), ("transactions", "tariff")]
OWN += [("commands", "chargingprofile"), ("commands", "firmware")]
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
NOT_BY_ROLE: tuple[str, ...] = (
    "view_auditentry",
    "view_chargergroup",
    "view_webhook",
    "view_delivery",
    "view_notificationrule",
)
NOT_BY_ROLE += ("view_notificationdelivery",)
WEBHOOKS = [f"chargers.{verb}_webhook" for verb in ("view", "add", "change", "delete")]
WEBHOOKS += ["chargers.view_delivery", "chargers.change_delivery"]
NOTIFICATIONS = [f"chargers.{verb}_notificationrule" for verb in ("view", "add", "change", "delete")]
NOTIFICATIONS += ["chargers.view_notificationdelivery", "chargers.change_notificationdelivery"]
ROLES[MANAGERS] += [*WEBHOOKS, *NOTIFICATIONS]


def make(sender: object, using: str, **_: Any) -> None:
    """Create the roles after `migrate`, unless there is any group: groups that were removed or changed stay so."""
    with connections[using].cursor() as cursor:
        tables = connections[using].introspection.table_names(cursor)
    if "commands_command" not in tables:  # after `migrate` of other apps alone, the permissions are incomplete
        return
    groups = Group.objects.using(using)
    with transaction.atomic(using=using):
        if groups.exists():
            return
        for name, wanted in ROLES.items():
            groups.create(name=name).permissions.set(_permissions(wanted, using))
        audit.record("created", "roles", "", after={"roles": list(ROLES)})


def _permissions(wanted: Iterable[str], using: str) -> Iterator[Permission]:
    permissions = Permission.objects.using(using).select_related("content_type")
    named = {name for name in wanted if not name.endswith(".view")}
    seen = {name.removesuffix(".view") for name in wanted if name.endswith(".view")}
    for permission in permissions:
        app, codename = permission.content_type.app_label, permission.codename
        readable = app in seen and codename.startswith("view_") and codename not in NOT_BY_ROLE
        if readable or f"{app}.{codename}" in named:
            yield permission
