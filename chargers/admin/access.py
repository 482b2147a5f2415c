"""Charger groups, API tokens and the audit log in the admin."""

from datetime import UTC, datetime

from axes.models import AccessFailureLog, AccessLog
from django import forms
from django.contrib import admin
from django.db.models import Count
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from chargers.admin.chargers import ReadOnly, Scoped
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.admin.once import shown_once
from chargers.models import ApiToken, AuditEntry, ChargerGroup
from chargers.services import audit
from chargers.services.access import reaches_every_charger

admin.site.unregister([AccessLog, AccessFailureLog])  # since the audit log has the same entries


class RequiresEveryCharger:
    """Require the permission to reach every charger, because the rows name chargers or users of all groups."""

    def has_module_permission(self, request):
        return super().has_module_permission(request) and reaches_every_charger(request.user)

    def has_view_permission(self, request, obj=None):
        return super().has_view_permission(request, obj) and reaches_every_charger(request.user)

    def has_add_permission(self, request):
        return super().has_add_permission(request) and reaches_every_charger(request.user)

    def has_change_permission(self, request, obj=None):
        return super().has_change_permission(request, obj) and reaches_every_charger(request.user)

    def has_delete_permission(self, request, obj=None):
        return super().has_delete_permission(request, obj) and reaches_every_charger(request.user)


@admin.register(ChargerGroup)
class ChargerGroupAdmin(RequiresEveryCharger, admin.ModelAdmin):
    list_display = ["name", "description", "chargers_in_it"]
    search_fields = ["name", "description"]
    autocomplete_fields = ["chargers", "users"]
    filter_horizontal = ["roles"]

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(size=Count("chargers"))

    @admin.display(description="chargers", ordering="size")
    def chargers_in_it(self, group):
        return group.size


class ApiTokenForm(forms.ModelForm):
    """A form whose `owner` is the user of the token, if the form has no field for it."""

    def clean(self):
        values = super().clean()
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
    fields = ["user", "name", "expiry"]
    autocomplete_fields = ["user"]

    def get_queryset(self, request):
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user=request.user)

    def get_form(self, request, token=None, **kwargs):
        form = super().get_form(request, token, **kwargs)
        form.owner = token.user if token else request.user
        return form

    def get_fields(self, request, token=None):
        return self.fields if request.user.is_superuser else self.fields[1:]

    def get_readonly_fields(self, request, token=None):
        return ["user"] if token else []

    def save_model(self, request, token, form, change):
        if change:
            token.save(update_fields=form.changed_data)
            return
        owner = token.user if token.user_id else request.user
        row, self.new_token = ApiToken.make(owner, token.name, token.expiry)
        token.__dict__.update(row.__dict__)

    def response_add(self, request, token, post_url_continue=None):
        """Show the token itself, on this page only."""
        return shown_once(self, request, token, f"The token {token.name} of {token.user}", self.new_token)

    @admin.display(boolean=True)
    def expired(self, token):
        return token.expiry is not None and token.expiry < datetime.now(UTC)


@admin.register(AuditEntry)
class AuditEntryAdmin(LargeTableAdmin, Scoped, ReadOnly, admin.ModelAdmin):
    """The audit log, which cannot be changed here."""

    list_display = ["at", "who", "address", "action", "kind", "name", "changes"]
    list_filter = [choices("action", audit.ACTIONS), choices("kind", audit.KINDS)]
    sortable_by = ["at"]
    searched = {"who": "text", "charger": "charger"}
    list_select_related = ["charger"]
    date_hierarchy = "at"

    @admin.display(description="changes")
    def changes(self, entry):
        """Return each change on a line of its own."""
        before, after = entry.before or {}, entry.after or {}
        lines = ((name, before.get(name, ""), after.get(name, "")) for name in {**before, **after})
        return format_html_join(mark_safe("<br>"), "{}: {} → {}", lines)
