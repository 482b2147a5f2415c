"""Sites, charger groups and API tokens in the admin."""

from datetime import UTC, datetime
from typing import Any

from axes.models import AccessFailureLog, AccessLog
from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse

from chargers.admin.base import RequiresEveryCharger, shown_once
from chargers.models import ApiToken, ChargerGroup, Site

admin.site.unregister([AccessLog, AccessFailureLog])  # since the audit log has the same entries


@admin.register(ChargerGroup)
class ChargerGroupAdmin(RequiresEveryCharger, admin.ModelAdmin):
    list_display = ["name", "description", "chargers_in_it"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["chargers", "users"]
    filter_horizontal = ["roles"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(size=Count("chargers"))

    @admin.display(description="chargers", ordering="size")
    def chargers_in_it(self, group: Any) -> int:
        return group.size


@admin.register(Site)
class SiteAdmin(RequiresEveryCharger, admin.ModelAdmin):
    list_display = ["name", "address", "time_zone", "power_limit_w", "chargers_at_it"]
    search_fields = ["name", "address"]
    autocomplete_fields = ["users"]
    filter_horizontal = ["roles"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(size=Count("chargers"))

    @admin.display(description="chargers", ordering="size")
    def chargers_at_it(self, site: Any) -> int:
        return site.size


class ApiTokenForm(forms.ModelForm):
    """A form whose `owner` is the user of the token, if the form has no field for it."""

    owner: User

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        others = ApiToken.objects.filter(user=values.get("user") or self.owner, name=values.get("name"))
        if others.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError({"name": "There is a token of this name already."})
        return values


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """The tokens of the user, or those of all users for a superuser. To revoke a token, delete it."""

    list_display = ["name", "user", "created", "expiry", "expired", "last_used"]
    search_fields = ["name", "user__username"]
    list_select_related = ["user"]
    date_hierarchy = "created"
    form = ApiTokenForm
    autocomplete_fields = ["user"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def get_form(self, request: HttpRequest, obj: ApiToken | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.owner = obj.user if obj else request.user
        return form

    def get_fields(self, request: HttpRequest, token: ApiToken | None = None) -> list[Any]:
        return ["user", "name", "expiry"] if request.user.is_superuser else ["name", "expiry"]

    def get_readonly_fields(self, request: HttpRequest, token: ApiToken | None = None) -> list[str]:
        return ["user"] if token else []

    def save_model(self, request: HttpRequest, token: ApiToken, form: Any, change: bool) -> None:
        if change:
            token.save(update_fields=form.changed_data)
            return
        owner = token.user if token.user_id else request.user
        row, self.new_token = ApiToken.make(owner, token.name, token.expiry)
        token.__dict__.update(row.__dict__)

    def response_add(
        self, request: HttpRequest, token: ApiToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the token itself, on this page only."""
        return shown_once(self, request, token, f"The token {token.name} of {token.user}", self.new_token)

    @admin.display(boolean=True)
    def expired(self, token: ApiToken) -> bool:
        return token.expiry is not None and token.expiry < datetime.now(UTC)
