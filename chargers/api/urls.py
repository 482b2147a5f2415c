"""Routes of this app; charger ids in paths are percent-encoded and may contain any character, even a slash."""

from urllib.parse import quote, unquote

from django.urls import include, path, register_converter
from rest_framework.routers import SimpleRouter

from chargers.api.views import access, chargers, events, histories, incidents, sites, variables


class ChargerIdConverter:
    """Decode a charger id; `config.asgi` leaves `%2F` and `%25` encoded, so that it is one segment of the path."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        charger_id = unquote(value)
        if "\0" in charger_id or len(charger_id) > 255:
            raise ValueError("not a charger id")  # Django answers 404
        return charger_id

    def to_url(self, value: str) -> str:
        return quote(value, safe="")


register_converter(ChargerIdConverter, "charger")

router = SimpleRouter()
router.register("tokens", access.ApiTokenViewSet)
router.register("sites", sites.SiteViewSet)
router.register("incidents", incidents.IncidentViewSet)
router.register("notification-rules", incidents.NotificationRuleViewSet)
router.register("webhooks", events.WebhookViewSet)
router.register("refused-chargers", histories.RefusalViewSet)

every = chargers.ChargerViewSet.as_view({"get": "list", "post": "create"})
one = chargers.ChargerViewSet.as_view(
    {"get": "retrieve", "put": "update", "patch": "partial_update", "delete": "destroy"}
)
new_key = chargers.ChargerViewSet.as_view({"post": "new_key"}, **chargers.ChargerViewSet.new_key.kwargs)

urlpatterns = [
    path("chargers/", every),
    path("chargers/<charger:charger_id>/", one),
    path("chargers/<charger:charger_id>/new-key/", new_key),
    path("", include(router.urls)),
    path("events/", histories.EventList.as_view()),
    path("events/stream/", events.event_stream),
    path("webhooks/<int:pk>/deliveries/", events.DeliveryList.as_view()),
    path("webhooks/<int:pk>/deliveries/<int:delivery>/replay/", events.replay_delivery),
    path("notification-rules/<int:pk>/deliveries/", incidents.NotificationDeliveryList.as_view()),
    path("notification-rules/<int:pk>/deliveries/<int:delivery>/replay/", incidents.replay_notification),
    path("messages/", histories.MessageList.as_view()),
    path("findings/", histories.FindingList.as_view()),
    path("audit/", histories.AuditEntryList.as_view()),
    path("security-events/", histories.SecurityEventList.as_view()),
    path("monitors/", histories.MonitorList.as_view()),
    path("monitoring-events/", histories.MonitoringEventList.as_view()),
    path("charging-limits/", histories.ChargingLimitList.as_view()),
    path("data-transfers/", histories.DataTransferList.as_view()),
    path("variables/", variables.FleetVariableList.as_view()),
    path("variables/history/", variables.VariableChangeList.as_view()),
    path("network-profiles/", variables.NetworkProfileList.as_view()),
    path("status/<charger:charger_id>/", chargers.charger_status),
]
