"""State and requests of the pages."""

from django.contrib.auth.models import Permission, User

from chargers.models import ChargerGroup
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import NOON, a_transaction, open_socket, tell

HTML = {"HTTP_ACCEPT": "text/html"}


def a_user(client, *permissions, group_of=None):
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if group_of is not None:
        group = ChargerGroup.objects.create(name="site")
        group.chargers.set(group_of)
        group.users.add(user)
    client.force_login(user)
    return user


def page_of(charger):
    return charger_url("dashboard:charger", charger.charger_id)


def readings(*fields):
    return [{"timestamp": NOON, "sampledValue": list(fields)}]


def charging(power):
    """A transaction into which `power` W flow, of a charger with an open socket."""
    session = a_transaction()
    open_socket(session.charger)
    fields = readings({"value": str(power), "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    return session


def new_batch(api, action="Reset", **fields):
    return api.post(f"/batches/new/{action}/", {"type": "Soft", "of_search": "CP-", **fields})
