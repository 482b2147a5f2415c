"""Pages of webhooks: the list, one webhook, and its deliveries."""

from django.contrib import messages
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django_filters import rest_framework as filters

from chargers.api.filters import AsSent
from chargers.api.serializers.events import NewWebhookSerializer, WebhookSerializer
from chargers.models import Delivery, Webhook
from dashboard.labels import WEBHOOK_HINTS, WEBHOOKS
from dashboard.views.base import Listing, Page
from dashboard.views.editing import DeletePage, EditPage, EveryCharger, find, shown_once


class Webhooks(EveryCharger, Listing):
    permission_required = "chargers.view_webhook"
    template_name = "dashboard/webhooks.html"

    def rows(self):
        return Webhook.objects.select_related("group")


class EditWebhook(EveryCharger, EditPage):
    model = Webhook
    fields = ("name", "url", "kinds", "group", "is_enabled")
    labels, hints = WEBHOOKS, WEBHOOK_HINTS
    back = "dashboard:webhooks"

    def title(self, row):
        return gettext("New webhook") if row is None else gettext("Webhook {name}").format(name=row)

    def serializer(self, row, **options):
        serializer_class = NewWebhookSerializer if row is None else WebhookSerializer
        return serializer_class(row, context={"request": self.request}, **options)

    def done(self, row, serializer):
        if self.is_change:
            return super().done(row, serializer)
        title = gettext("Secret of {name}").format(name=row)
        text = gettext("The receiver verifies each event with it (standardwebhooks.com).")
        there = reverse("dashboard:webhooks")
        return shown_once(self, title, text, gettext("Secret"), serializer.data["secret"], there)


class DeleteWebhook(EveryCharger, DeletePage):
    model = Webhook
    back = "dashboard:webhooks"


class DeliveryFilter(AsSent):
    state = filters.ChoiceFilter(choices=[(state, state) for state in Delivery.STATES])

    class Meta:
        model = Delivery
        fields = ["state"]


class Deliveries(EveryCharger, Listing):
    permission_required = ("chargers.view_webhook", "chargers.view_delivery")
    template_name = "dashboard/deliveries.html"
    filterset_class = DeliveryFilter

    def rows(self):
        return self.webhook.deliveries.select_related("event__charger")

    def get_context_data(self, pk, **kwargs):
        self.webhook = find(Webhook.objects, pk)
        return super().get_context_data(**kwargs) | {"webhook": self.webhook, "states": Delivery.STATES}


class Replay(EveryCharger, Page):
    """POST sends one delivery again, or all that have failed."""

    permission_required = "chargers.change_webhook"
    http_method_names = ["post"]

    def post(self, request, pk, delivery=None):
        webhook = find(Webhook.objects, pk)
        some = {"state": Delivery.DEAD} if delivery is None else {"pk": delivery}
        number = webhook.deliveries.filter(**some).replay()
        messages.success(request, gettext("Deliveries that are sent again: {number}").format(number=number))
        return redirect("dashboard:deliveries", pk)
