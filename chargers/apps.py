"""The charger app: the socket, and what a charger is."""

from django.apps import AppConfig


class ChargersConfig(AppConfig):
    name = "chargers"

    def ready(self):
        from django.contrib.auth.models import Group, User

        from chargers import audit, handlers, vendors  # noqa: F401  (registers its actions)
        from chargers.admin import OURS
        from chargers.models import ApiToken, Charger, ChargerGroup, Webhook

        vendors.load()
        audit.watch(Charger, *OURS, "authorization_key_hash", "next_security_profile")
        audit.watch(ChargerGroup, "name", "chargers", "users", "roles")
        audit.watch(ApiToken, "user", "name", "expiry")
        audit.watch(Webhook, "name", "url", "kinds", "group", "is_enabled")
        may = ["is_active", "is_staff", "is_superuser"]
        audit.watch(User, "username", "password", *may, "groups", "user_permissions")
        audit.watch(Group, "name", "permissions")
        audit.watch_logins()
