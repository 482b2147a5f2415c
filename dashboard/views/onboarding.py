"""Pages to add a charger, and to wait until it connects."""

from typing import Any
from urllib.parse import quote, urlsplit

import segno
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, gettext_lazy

from chargers.models import SECURITY_PROFILES, Charger
from chargers.services import access, onboarding
from core.http.errors import Conflict
from core.sentences import translated
from dashboard.templatetags.dashboard import charger_url
from dashboard.views.base import Page, form_values
from dashboard.views.charger import is_connected

BY_TLS = (2, 3)  # security profiles
PROFILES = {str(number): name for number, name in SECURITY_PROFILES}
HERE = ("localhost", "127.0.0.1", "::1")
# What to do about a refused connection, by its kind, see `chargers.models.refusals`.
ADVICE = {
    "unknown": gettext_lazy("This attempt was made before the charger was known. It will try again."),
    "credentials": gettext_lazy(
        "Enter the key as the password, and the ID as the user name. If the key is lost, set a new one. Compare the "
        "security profile with the URL: profiles 2 and 3 need wss://."
    ),
    "subprotocol": gettext_lazy("Set the protocol of the charger to OCPP 1.6 JSON or OCPP 2.0.1."),
    "upgrade": gettext_lazy(
        "Set the protocol of the charger to OCPP JSON (WebSocket), not SOAP. If there is a proxy, it must pass on "
        "the WebSocket headers."
    ),
    "path": gettext_lazy("Enter the URL exactly as shown here."),
}


def place_of(request, charger):
    """Return {url, base_url, qr, is_local}: where `charger` is to connect, by the host of `request`."""
    is_secure = request.is_secure() or charger.security_profile in BY_TLS
    base = f"{'wss' if is_secure else 'ws'}://{request.get_host()}{settings.URL_PREFIX}/ws/ocpp"
    url = f"{base}/{quote(charger.identity, safe='')}"
    code = segno.make(url, micro=False).svg_inline(scale=4, dark="#000", light="#fff")
    return {
        "url": url,
        "base_url": base,
        "qr": mark_safe(code),  # noqa: S308  (segno draws paths, and the text is not part of them)
        "is_local": urlsplit(base).hostname in HERE,
        "lacks_tls": is_secure and not request.is_secure(),
    }


class AddCharger(Page):
    """Form of a new charger. POST adds it; only this response shows its key."""

    permission_required = ("chargers.view_charger", "chargers.add_charger")
    template_name = "dashboard/add_charger.html"

    def dispatch(self, request, *args, **kwargs):
        if request.user.is_authenticated and self.has_permission() and not onboarding.may_add(request.user):
            raise PermissionDenied(
                gettext("Only users with access to all chargers, or to a site, can add a charger.")
            )
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, values=None, error="", **kwargs):
        query = self.request.GET
        usual = {
            "security_profile": "2" if self.request.is_secure() else "1",
            "charger_id": query.get("charger_id", ""),
            "site": query.get("site", ""),
        }
        return super().get_context_data(**kwargs) | {
            "values": values or usual,
            "profiles": PROFILES,
            "sites": access.sites(self.request.user),
            "needs_site": not access.reaches_every_charger(self.request.user),
            "error": error,
        }

    def post(self, request):
        values = form_values(request)
        columns = self._columns(values)
        if not onboarding.may_add_at(request.user, columns["site"]):
            return self.render_to_response(self.get_context_data(values, gettext("Select a site.")), status=400)
        try:
            charger, key = onboarding.add(values.get("charger_id", ""), **columns)
        except Conflict as conflict:
            context = self.get_context_data(values, translated(str(conflict.detail)))
            return self.render_to_response(context, status=409)
        page = Connection()
        page.setup(request)
        return page.shown(charger, key)

    def _columns(self, values) -> dict[str, Any]:
        site, profile = values.get("site", ""), values.get("security_profile", "")
        sites = access.sites(self.request.user)
        return {
            "description": values.get("description", "")[:255],
            "site": sites.filter(pk=int(site)).first() if site.isdecimal() and len(site) < 19 else None,
            "security_profile": int(profile) if profile in PROFILES else None,
        }


class Connection(Page):
    """Where a charger is to connect, and whether it does, or why not."""

    permission_required = "chargers.view_charger"
    template_name = "dashboard/connection.html"
    live_template = "dashboard/connection_live.html"
    kinds = ("charger",)

    def get(self, request, charger_id):
        return self.shown(self.known_charger(charger_id))

    def shown(self, charger, key=""):
        """Return the page of `charger`. A new one has a `key` to show."""
        self.charger = charger
        connected = is_connected(charger)
        attempts = None if connected else onboarding.attempts(charger, self.request.user)
        own = attempts.own if attempts else []
        context = self.get_context_data() | {
            "key": key,
            "connected": connected,
            "booted": connected and _has_booted(charger),
            "attempts": attempts,
            "own": [(refusal, ADVICE.get(refusal.kind, "")) for refusal in own],
            "renews": charger_url("dashboard:connection", charger.identity),
            **({} if self.is_live else place_of(self.request, charger)),
        }
        return self.render_to_response(context)


def _has_booted(charger: Charger) -> bool:
    """Return whether the charger has sent BootNotification since it connected."""
    boot, connected = charger.last_boot_at, charger.connected_at
    return boot is not None and connected is not None and boot >= connected
