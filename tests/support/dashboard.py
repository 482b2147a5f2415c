"""State and requests of the pages."""

from django.contrib.auth.models import Permission, User

from chargers.models import ChargerGroup
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import NOON, a_transaction, open_socket, tell

HTML = {"HTTP_ACCEPT": "text/html"}


def a_user(client, *permissions, group_of=None):
    """Log in a new user with `permissions`, who reaches only the chargers `group_of` if they are given."""
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if group_of is not None:
        group = ChargerGroup.objects.create(name="site")
        group.chargers.set(group_of)
        group.users.add(user)
    client.force_login(user)
    return user


def page_of(charger):
    """The path of the page of a charger."""
    return charger_url("dashboard:charger", charger.identity)


def readings(*fields):
    """The `meterValue` of a MeterValues with these sampled values."""
    return [{"timestamp": NOON, "sampledValue": list(fields)}]


def charging(power):
    """A transaction with a power of `power` W, of a charger with an open socket."""
    session = a_transaction()
    open_socket(session.charger)
    fields = readings({"value": str(power), "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    return session


def new_batch(api, action="Reset", **fields):
    """Submit the form of a new batch for the chargers of `a_charger`, with more `fields`."""
    return api.post(f"/batches/new/{action}/", {"type": "Soft", "of_search": "CP-", **fields})
