"""The rules of incidents about chargers: what is wrong with a charger by what is stored about it."""

from django.conf import settings

from chargers import sql
from chargers.services.incidents import QUIET_S, Rule


def _offline() -> dict[str, int]:
    return {"minutes": settings.OCPP_OFFLINE_MINUTES}


def _silent() -> dict[str, int]:
    return {"minutes": settings.OCPP_SILENT_MINUTES}


RULES: tuple[Rule, ...] = (
    Rule("fault", sql.FAULTED_CONNECTORS),
    Rule("high_temperature", sql.FAULTED_CONNECTORS),
    Rule("offline", sql.OFFLINE_CHARGERS, parameters=_offline),
    Rule("silent", sql.SILENT_CHARGERS, parameters=_silent),
    Rule("refused", sql.REFUSED_CHARGERS),
    Rule("unknown_charger", sql.UNKNOWN_CHARGERS),
    Rule("message_rejected", sql.REJECTED_MESSAGES, QUIET_S),
    Rule("clock", sql.WRONG_CLOCKS, QUIET_S),
    Rule("security", sql.SEVERE_SECURITY_EVENTS, QUIET_S),
    Rule("monitoring", sql.SEVERE_MONITORING_EVENTS, QUIET_S),
)
