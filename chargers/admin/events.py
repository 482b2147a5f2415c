"""Webhooks and deliveries in the admin."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse

from chargers.admin.base import RequiresEveryCharger, shown_once
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.models import Delivery, Webhook
from chargers.models.events import KIND_CHOICES


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

    def response_add(self, request: HttpRequest, webhook: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show its secret, on this page only."""
        return shown_once(self, request, webhook, f"The secret of {webhook}", webhook.secret.opened())


@admin.action(description="Send again", permissions=["change"])
def send_again(modeladmin: admin.ModelAdmin, request: HttpRequest, deliveries: Any) -> None:
    messages.success(request, f"{deliveries.replay()} deliveries will be sent again.")


@admin.register(Delivery)
class DeliveryAdmin(LargeTableAdmin, RequiresEveryCharger, admin.ModelAdmin):
    list_display = ["id", "webhook", "event", "state", "attempts", "answered_status", "error", "due_at"]
    list_display += ["delivered_at"]
    list_filter = [choices("state", Delivery.STATES), "webhook"]
    sortable_by = ["id"]
    searched = {"event": "number"}
    list_select_related = ["webhook", "event__charger"]
    date_hierarchy = "due_at"
    readonly_fields = [field.name for field in Delivery._meta.fields]
    actions = [send_again]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, delivery: Delivery | None = None) -> bool:
        return False
