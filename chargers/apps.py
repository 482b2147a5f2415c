"""The app of chargers, and of access to them."""

from django.apps import AppConfig


class ChargersConfig(AppConfig):
    name = "chargers"

    def ready(self) -> None:
        from django.contrib.auth.models import Group, User
        from django.db.models.signals import post_delete, post_save

        from chargers import checks  # noqa: F401  (`checks` registers itself)
        from chargers.models import ApiToken, Charger, ChargerGroup, HeldSerial, NotificationRule, Site, Webhook
        from chargers.models.charger import OPERATOR_FIELDS
        from chargers.services import audit, events

        audit.watch(Charger, "identity", *OPERATOR_FIELDS, "authorization_key_hash", "next_security_profile")
        audit.watch(HeldSerial, "charger", "serial")
        place = ["name", "address", "latitude", "longitude", "time_zone", "contacts", "power_limit_w"]
        place += ["offline_minutes"]
        audit.watch(Site, *place, "users", "roles")
        audit.watch(ChargerGroup, "name", "chargers", "users", "roles")
        audit.watch(ApiToken, "user", "name", "expiry")
        audit.watch(Webhook, "name", "url", "kinds", "group", "is_enabled")
        hours = ["weekdays", "from_time", "until_time"]
        channel = ["channel", "target", "template", "language", "escalate_after", "escalation_target"]
        scope = ["name", "is_enabled", "site", "severity", "kinds", "notify_end"]
        audit.watch(NotificationRule, *scope, *hours, *channel)
        for signal in (post_save, post_delete):
            signal.connect(events.unstored_event_demand.forget, sender=Webhook)
        rights = ["is_active", "is_staff", "is_superuser"]
        audit.watch(User, "username", "password", *rights, "groups", "user_permissions")
        audit.watch(Group, "name", "permissions")
        audit.watch_logins()
