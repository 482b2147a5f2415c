"""Add a charger, and find connection attempts that may be its own while it does not connect."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import unquote

from django.db import transaction

from chargers.models import Charger, Refusal, Site
from chargers.services import access, refusals
from core.http.errors import Conflict

WITHOUT_KEY = (0, 3)  # security profiles: without authentication, and by a certificate
# Attempts of others count for this time, and from a moment before the charger was added.
RECENT, BEFORE = timedelta(hours=1), timedelta(minutes=15)
MAX_SHOWN = 5


class Attempts(NamedTuple):
    """Attempts since a charger was added, latest first.

    `own` are refusals of its id, `similar` those of unknown ids that may be meant as its own, `unnamed` those of
    paths that name no charger. `mistaken` are other chargers with a similar id that have connected.
    """

    own: list[Refusal]
    similar: list[Refusal]
    unnamed: list[Refusal]
    mistaken: list[Charger]


def may_add(user: Any) -> bool:
    """Return whether `user`, who has the permission to add chargers, may add one at some site, or at none."""
    return access.reaches_every_charger(user) or access.sites(user).exists()


def may_add_at(user: Any, site: Site | None) -> bool:
    """Return whether `user` may add a charger at `site`; without a site, only users who reach every charger may."""
    if access.reaches_every_charger(user):
        return True
    return site is not None and access.sites(user).filter(pk=site.pk).exists()


@transaction.atomic
def add(charger_id: str, **columns: Any) -> tuple[Charger, str]:
    """Add a charger; return it and its key (text), "" if its security profile needs none.

    Raise `Conflict` for an id that is invalid or known.
    """
    if not 0 < len(charger_id) <= 255 or "\0" in charger_id:
        raise Conflict("A charger id has 1 to 255 characters.")
    charger, is_new = Charger.objects.get_or_create(identity=charger_id, defaults=columns)
    if not is_new:
        raise Conflict("This charger is known already: give it a new key, or correct what it presents.")
    return charger, "" if charger.security_profile in WITHOUT_KEY else charger.make_key()


def add_refused(refusal: Refusal) -> tuple[Charger, str]:
    """Add the charger of a refusal, as `add` does. Raise `Conflict` if it has no id, too."""
    if not refusal.charger_id:
        raise Conflict("The path of this handshake named no charger id: correct the URL in the charger.")
    return add(refusal.charger_id)


def attempts(charger: Charger, user: Any) -> Attempts:
    """Return the attempts that `user` may see."""
    since = max(charger.created_at - BEFORE, datetime.now(UTC) - RECENT)
    rows = refusals.visible(user).filter(last_at__gte=min(since, charger.created_at)).order_by("-last_at", "-pk")
    own, similar, unnamed = [], [], []
    for row in rows:
        if row.charger_id == charger.identity:
            own += [row] * (row.last_at >= charger.created_at)
        elif row.last_at < since or row.is_known:
            continue
        elif not row.charger_id:
            unnamed.append(row)
        elif is_similar(row.charger_id, charger.identity):
            similar.append(row)
    return Attempts(own[:MAX_SHOWN], similar[:MAX_SHOWN], unnamed[:MAX_SHOWN], _mistaken(charger, user, since))


def _mistaken(charger: Charger, user: Any, since: datetime) -> list[Charger]:
    """Return chargers that were known or accepted under a similar id, and have connected since `since`."""
    others = access.within(user, Charger.objects.filter(connected_at__gte=since), "pk").exclude(pk=charger.pk)
    ids: Iterable[tuple[int, str]] = others.order_by("-connected_at").values_list("pk", "identity")[:1000]
    found = [pk for pk, identity in ids if is_similar(identity, charger.identity)]
    return list(Charger.objects.filter(pk__in=found[:MAX_SHOWN]).order_by("-connected_at")) if found else []


def is_similar(one: str, other: str) -> bool:
    """Whether two ids differ only in case, spaces, slashes and punctuation, or in a path before the id."""
    return bool(_letters(one)) and (_letters(one) == _letters(other) or _last(one) == _last(other))


def _letters(charger_id: str) -> str:
    return "".join(letter for letter in unquote(charger_id).casefold() if letter.isalnum())


def _last(charger_id: str) -> str:
    return _letters(unquote(charger_id).strip("/ ").rpartition("/")[2])
