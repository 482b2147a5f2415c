"""The roles that every installation begins with: groups of Django's, to be given to users and changed at will."""

from django.apps import apps

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
NOT_BY_ROLE = "view_auditentry"


def make(sender, using, **_):
    """After `migrate`: make the roles that are missing. Who had a token before there were any may do as before."""
    from django.contrib.auth.models import Group, User

    first = not Group.objects.using(using).filter(name=EVERY).exists()
    for name, wanted in ROLES.items():
        role, made = Group.objects.using(using).get_or_create(name=name)
        if made:
            role.permissions.set(_permissions(wanted, using))
    if first:
        both = Group.objects.using(using).filter(name__in=[MANAGERS, EVERY])
        for user in User.objects.using(using).filter(auth_token_set__isnull=False, is_superuser=False).distinct():
            user.groups.add(*both)


def _permissions(wanted, using):
    permissions = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    named = {name for name in wanted if not name.endswith(".view")}
    seen = {name.removesuffix(".view") for name in wanted if name.endswith(".view")}
    for permission in permissions:
        app, codename = permission.content_type.app_label, permission.codename
        readable = app in seen and codename.startswith("view_") and codename != NOT_BY_ROLE
        if readable or f"{app}.{codename}" in named:
            yield permission
