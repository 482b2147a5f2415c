"""Names of EVSEs and connectors, as the OCPP version of their charger numbers them (decision 0023)."""

from django.utils.translation import gettext

from chargers.models import Connector
from transactions.models import Transaction


def name_of(has_evses: bool, evse_id: int | None, connector_id: int | None) -> str:
    """Name a place: with `has_evses` by its EVSE, else by its connector alone; 0 is the charger as a whole."""
    if not has_evses:
        text = gettext("Connector {number}") if connector_id else gettext("Charger (connector 0)")
    elif evse_id:
        text = gettext("EVSE {evse} connector {number}") if connector_id else gettext("EVSE {evse}")
    else:
        text = gettext("Charger")
    return text.format(evse=evse_id, number=connector_id)


def has_evses(row: Connector | Transaction) -> bool:
    """Return whether its place is named by an EVSE. A transaction may be older than the version of its charger."""
    return bool(row.own_reference) if isinstance(row, Transaction) else row.charger.version.has_evses


def place(row: Connector | Transaction) -> str:
    """Name the place of a connector or a transaction."""
    return name_of(has_evses(row), row.evse_id, row.connector_id)


def short_place(row: Connector | Transaction) -> str:
    """Return the number of a connector, after that of its EVSE in a version with EVSEs."""
    if not has_evses(row):
        return str(row.connector_id)
    return ".".join(str(number) for number in (row.evse_id, row.connector_id) if number) or "0"
