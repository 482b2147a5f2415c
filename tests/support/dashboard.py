"""State and requests of the pages."""

from datetime import UTC, datetime

from django.contrib.auth.models import Permission, User

from chargers.models import ChargerGroup
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import NOON, a_charger, a_transaction, open_socket, tell
from transactions.models import Transaction

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
    return api.post(f"/batches/new/{action}/", {"type": "Soft", "of_search": "CP-", "confirmed": "1", **fields})


def a_session_of_2_0_1(charger, **columns):
    """A transaction on EVSE 1, connector 2 of a charger, as a TransactionEvent of OCPP 2.0.1 begins it."""
    at = datetime.now(UTC)
    usual = {"own_reference": f"ref-{charger.pk}", "evse_id": 1, "connector_id": 2, "id_tag": "ABC"}
    usual |= {"id_token_type": "ISO14443", "id_tag_status": "Accepted", "charging_state": "Charging"}
    usual |= {"start_time": at, "raw_start_time": at.isoformat(), "start_received_at": at, "meter_start": 1000}
    return Transaction.objects.create(charger=charger, **usual | columns)


def a_station(**columns):
    """A connected charger of OCPP 2.0.1 with EVSE 1, connectors 1 (available) and 2 (occupied)."""
    charger = a_charger(ocpp_version="ocpp2.0.1", vendor="V", model="M", **columns)
    open_socket(charger)
    for number, status in ((1, "Available"), (2, "Occupied")):
        tell(charger, "StatusNotification", evseId=1, connectorId=number, connectorStatus=status, timestamp=NOON)
    return charger
