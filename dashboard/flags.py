"""Issues of a transaction, with an explanation of each."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from core.http.zone import written
from transactions.models import Transaction
from transactions.models.transactions import DOUBTS

# (condition, name, explanation)
FLAGS = (
    (
        lambda t: t.superseded_by_id,
        _("superseded"),
        _(
            "Transaction {t.superseded_by_id} started on the same connector before a stop message of this "
            "transaction was received. The stop message was probably lost. If it is received later, it is applied."
        ),
    ),
    (
        lambda t: t.closed_at,
        _("closed manually"),
        _(
            "{t.closed_by} closed it at {closed_at} with the last meter reading. A stop message received later takes "
            "precedence."
        ),
    ),
    (
        lambda t: t.missing_since,
        _("events missing"),
        _(
            "The charger has not delivered all events of this transaction. Its energy and its times may be "
            "incomplete until they are received."
        ),
    ),
    (
        lambda t: t.clock_skew,
        _("clock skew"),
        _(
            "The charger reported an implausible time, for example one in the future. Reported times are shown "
            "unchanged. Times of receipt are those of this system."
        ),
    ),
    (
        lambda t: t.meter_ran_backwards,
        _("meter ran backwards"),
        _(
            "The meter stop of {t.meter_stop} Wh is below the meter start of {t.meter_start} Wh. The energy is taken "
            "from the meter values or from a manual correction. Without either it is 0."
        ),
    ),
    (
        lambda t: not t.is_accepted,
        _("ID tag not accepted"),
        _(
            "The status of the ID tag at the start was {t.id_tag_status}. The charger received this status and "
            "decides itself whether to charge."
        ),
    ),
    (
        lambda t: t.corrected_at,
        _("corrected"),
        _("The meter values or the end time were corrected manually. The reported values remain stored."),
    ),
)
ISSUES = {
    "superseded": _("superseded, stop missing"),
    "free": _("ongoing, but the connector is free"),
    "skew": _("clock skew"),
    "closed": _("closed manually"),
}


def flags(session: Transaction) -> Any:
    """Return [(name, explanation)] of the issues of a transaction."""
    closed_at = session.closed_at and written(session.closed_at)
    return [
        (name, meaning.format(t=session, closed_at=closed_at)) for applies, name, meaning in FLAGS if applies(session)
    ]


def issue_choices() -> Any:
    """Return {value of the filter: translated label}, one for each of DOUBTS."""
    return {doubt: ISSUES[doubt] for doubt in DOUBTS}
