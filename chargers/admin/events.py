"""Events, webhooks and deliveries in the admin."""

from django import forms
from django.contrib import admin, messages

from chargers.admin.access import RequiresEveryCharger
from chargers.admin.chargers import ReadOnly, Scoped
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.admin.once import shown_once
from chargers.models import Delivery, Event, Webhook
from chargers.models.events import KIND_CHOICES, KINDS
from chargers.services import webhooks


@admin.register(Event)
class EventAdmin(LargeTableAdmin, Scoped, ReadOnly, admin.ModelAdmin):
    list_display = ["at", "charger", "kind", "body"]
    list_filter = [choices("kind", KINDS)]
    sortable_by = ["at"]
    list_select_related = ["charger"]
    date_hierarchy = "at"


class WebhookForm(forms.ModelForm):
    kinds = forms.MultipleChoiceField(choices=KIND_CHOICES, widget=forms.CheckboxSelectMultiple)


@admin.register(Webhook)
class WebhookAdmin(RequiresEveryCharger, admin.ModelAdmin):
    form = WebhookForm
    list_display = ["name", "url", "group", "is_enabled", "created_at"]
    list_filter = ["is_enabled"]
    list_select_related = ["group"]
    search_fields = ["name", "url"]
    date_hierarchy = "created_at"
    fields = ["name", "url", "kinds", "group", "is_enabled"]

    def response_add(self, request, webhook, post_url_continue=None):
        """Show its secret, on this page only."""
        return shown_once(self, request, webhook, f"The secret of {webhook}", webhook.secret.opened())


@admin.action(description="Send again", permissions=["change"])
def send_again(modeladmin, request, deliveries):
    messages.success(request, f"{webhooks.replay(deliveries)} deliveries will be sent again.")


@admin.register(Delivery)
class DeliveryAdmin(LargeTableAdmin, RequiresEveryCharger, admin.ModelAdmin):
    list_display = [
        "id",
        "webhook",
        "event",
        "state",
        "attempts",
        "answered_status",
        "error",
        "due_at",
        "delivered_at",
    ]
    list_filter = [choices("state", Delivery.STATES), "webhook"]
    sortable_by = ["id"]
    searched = {"event": "number"}
    list_select_related = ["webhook", "event__charger"]
    date_hierarchy = "due_at"
    readonly_fields = [field.name for field in Delivery._meta.fields]
    actions = [send_again]

    def has_add_permission(self, request):
        return False

    def has_delete_permission(self, request, delivery=None):
        return False
