"""Find sites."""

from typing import Any

from chargers.models import Site


def by_id_or_name(sites: Any, value: Any) -> Site | None:
    """Return the site among `sites` whose id, or else whose name, is `value`; None if there is none."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    is_id = text.isascii() and text.isdecimal() and len(text) < 19
    return (sites.filter(pk=int(text)).first() if is_id else None) or sites.filter(name=text).first()
