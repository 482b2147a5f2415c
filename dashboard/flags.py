"""What is out of the ordinary about a transaction, in words."""

from core.http.zone import written

# What is out of the ordinary: whether it is, in a word, and what it means.
FLAGS = (
    (
        lambda t: t.superseded_by_id,
        "superseded",
        "Transaction {t.superseded_by_id} began on the same connector while this one had no stop, which was probably "
        "lost. Should it still come, it is taken.",
    ),
    (
        lambda t: t.closed_at,
        "closed by hand",
        "{t.closed_by} closed it at {closed_at} with what its last reading said. A real stop that comes later wins.",
    ),
    (
        lambda t: t.clock_skew,
        "clock skew",
        "The charger's clock said what can't be, such as a time to come: its times are shown as it told them, those "
        "of receipt are ours.",
    ),
    (
        lambda t: t.meter_ran_backwards,
        "meter ran backwards",
        "It stopped at {t.meter_stop} Wh, below its start at {t.meter_start} Wh: its energy is taken from its "
        "readings, or from a correction by hand; without either it is 0.",
    ),
    (
        lambda t: not t.is_accepted,
        "tag not accepted",
        "Its tag was {t.id_tag_status} when it began. The charger was told so, and decides by itself.",
    ),
    (
        lambda t: t.corrected_at,
        "corrected",
        "Its meter values or its end were corrected by hand. What the charger said stays beside them.",
    ),
)


def flags(session):
    """[(one word, what it means)] of what is out of the ordinary about a transaction."""
    closed_at = session.closed_at and written(session.closed_at)
    return [
        (word, meaning.format(t=session, closed_at=closed_at)) for is_so, word, meaning in FLAGS if is_so(session)
    ]
