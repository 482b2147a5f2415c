"""Refused connections in the admin, with an action that adds their chargers."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from chargers.admin.base import ReadOnly
from chargers.models import Refusal
from chargers.services import onboarding, refusals
from core.http.errors import Conflict


@admin.register(Refusal)
class RefusalAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["last_at", "charger_id", "is_known", "kind", "status", "reason", "address", "count", "first_at"]
    list_filter = ["kind", "status"]
    search_fields = ["charger_id", "reason", "address"]
    date_hierarchy = "last_at"
    actions = ["add_chargers"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refusal]:
        return refusals.visible(request.user).order_by(*Refusal._meta.ordering or ())

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Refusal | None = None) -> bool:
        return request.user.has_perm("chargers.view_charger")

    def has_add_charger_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chargers.add_charger") and refusals.may_add(request.user)

    @admin.display(boolean=True, description="charger is known")
    def is_known(self, refusal: Any) -> bool:
        return refusal.is_known

    @admin.action(description="Add these chargers, each with a new key", permissions=["add_charger"])
    def add_chargers(self, request: HttpRequest, queryset: QuerySet[Refusal]) -> HttpResponse | None:
        """Add the chargers, and show their keys on the page that answers the request.

        A message of Django is not used, because it would be stored in a cookie.
        """
        keys, by_id = [], {refusal.charger_id: refusal for refusal in queryset}
        for charger_id, refusal in sorted(by_id.items()):
            try:
                keys.append(onboarding.add_refused(refusal))
            except Conflict as conflict:
                self.message_user(request, f"{charger_id or 'No id'}: {conflict.detail}", messages.WARNING)
        if not keys:
            return None
        context = {**self.admin_site.each_context(request), "title": "New chargers", "opts": self.opts, "keys": keys}
        return TemplateResponse(
            request, "admin/chargers/new_keys.html", context, headers={"Cache-Control": "no-store"}
        )
