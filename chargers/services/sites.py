"""Find sites, and put chargers at them."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from chargers import sql
from chargers.models import Charger, Site
from chargers.services import access, audit
from core.db import bulk_sql

NOT_MOVED = "You may move chargers between your sites only."


def by_id_or_name(sites: Any, value: Any) -> Site | None:
    """Return the site among `sites` whose id, or else whose name, is `value`; None if there is none."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    is_id = text.isascii() and text.isdecimal() and len(text) < 19
    return (sites.filter(pk=int(text)).first() if is_id else None) or sites.filter(name=text).first()


def refused(user: Any, places: Iterable[tuple[Charger, Site | None]]) -> list[Charger]:
    """Return the chargers that `user` may not put at their new sites, None for no site.

    A user who does not reach every charger moves them from an own site, or from none, to an own site. After another
    move the user, or the users of the other site, would no longer reach the charger, and could not undo it.
    """
    if access.reaches_every_charger(user):
        return []
    own = {site.pk: site for site in access.sites(user)}
    moved = [(charger, site) for charger, site in places if charger.site_id != (site.pk if site else None)]
    return [c for c, site in moved if site is None or site.pk not in own or c.site_id not in {None, *own}]


@transaction.atomic
def put(places: Iterable[tuple[Charger, Site | None]]) -> int:
    """Put each charger at its new site, None for no site; return how many stood elsewhere.

    Each of them has an entry in the audit log. The chargers must have their present `site` loaded.
    """
    moved = [(charger, site) for charger, site in places if charger.site_id != (site.pk if site else None)]
    for charger, site in moved:  # before the rows are locked, which messages of the chargers wait for
        before, after = ({"site": str(each) if each else None} for each in (charger.site, site))
        audit.record("changed", "charger", charger, charger.pk, before, after)
    by_site: dict[int | None, list[int]] = {}
    for charger, site in moved:
        by_site.setdefault(site.pk if site else None, []).append(charger.pk)
    bulk_sql.query(sql.LOCK_CHARGERS, [bulk_sql.array(charger.pk for charger, _ in moved)])
    for pk, chargers in by_site.items():
        Charger.objects.filter(pk__in=chargers).update(site=pk)
    return len(moved)
