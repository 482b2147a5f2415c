"""Chargers and their data in the admin. `commands.admin` registers `ChargerAdmin` with actions that send commands."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from chargers.admin.base import AsSent, Commandable, ReadOnly, Scoped, shown_once
from chargers.models import (
    Charger,
    Connector,
    HeldSerial,
    InstalledCertificate,
    InstalledProfile,
    NetworkProfile,
    Variable,
)
from chargers.models.charger import OF_SOCKET, OPERATOR_FIELDS, REPORTED_FIELDS
from chargers.services import access, audit, changes, control, keys, presence

KEYS = ["new_authorization_key", "allow_short_key", "remove_authorization_key"]


class ChargerForm(forms.ModelForm):
    new_authorization_key = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput,
        help_text="For Basic auth: 32 to 40 hex digits, or 16 to 20 characters. Stored hashed, never shown.",
    )
    allow_short_key = forms.BooleanField(
        required=False, help_text="Take a key of 8 to 15 characters, which can be guessed."
    )
    remove_authorization_key = forms.BooleanField(required=False)

    class Meta:
        model = Charger
        fields = ["identity", *OPERATOR_FIELDS]

    warning = ""

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if key := values.get("new_authorization_key"):
            try:
                self.warning = keys.check(key, bool(values.get("allow_short_key")), 'tick "Allow short key"')
            except ValueError as error:
                self.add_error("new_authorization_key", str(error))
        return values

    def save(self, commit: bool = True) -> Charger:
        if self.cleaned_data["remove_authorization_key"] or self.cleaned_data["new_authorization_key"]:
            self.instance.next_authorization_key_hashes = []
        if "security_profile" in self.changed_data:
            self.instance.next_security_profile = None
        if self.cleaned_data["remove_authorization_key"]:
            self.instance.authorization_key_hash = ""
        if key := self.cleaned_data["new_authorization_key"]:
            self.instance.authorization_key_hash = keys.hashed(key)
        return super().save(commit)


# Model: its columns on the page of a charger.
REPORTED = {
    Connector: ["connector_id", "status", "error_code", "info", "scheduled_availability", "timestamp", "received_at"],
    Variable: [
        *("component", "component_instance", "evse_id", "connector_id", "variable", "instance", "attribute", "value"),
        *("mutability", "reboot_required", "reported_at"),
    ],
    NetworkProfile: ["slot", "status", "answered_at", "security_profile", "connection", "accepted_at"],
    InstalledProfile: ["evse_id", "purpose", "stack_level", "charging_profile_id", "source", "transaction_id"],
    InstalledCertificate: ["certificate_type", "serial_number", "hash_algorithm", "updated_at"],
}


class ReportedInline(ReadOnly, admin.TabularInline):
    extra = 0


def reported_inline(model: type[Model], columns: list[str]) -> type[ReportedInline]:
    options = {"model": model, "fields": columns, "readonly_fields": columns}
    return type(f"{model.__name__}Inline", (ReportedInline,), options)


class HeldSerialInline(admin.TabularInline):
    """A serial number that is deleted here becomes free for the next charger that reports it."""

    model = HeldSerial
    readonly_fields = ["serial"]
    extra = 0

    def has_add_permission(self, request: HttpRequest, charger: Charger | None = None) -> bool:
        return False


class ChargerAdmin(Scoped, AsSent, Commandable, admin.ModelAdmin):
    charger_path = "pk"
    form = ChargerForm
    as_sent = ["identity"]
    list_select_related = ["site"]
    list_display = [
        "identity",
        "connected",
        "site",
        "vendor",
        "model",
        "firmware_version",
        "last_seen",
        "last_boot_at",
    ]
    list_filter = ["boot_policy", "registration_status", "vendor", "model", "firmware_version"]
    search_fields = ["identity", "description", "serial_number", "charge_box_serial_number", "iccid"]
    date_hierarchy = "created_at"
    inlines = [*(reported_inline(*row) for row in REPORTED.items()), HeldSerialInline]

    def get_fieldsets(self, request: HttpRequest, charger: Charger | None = None) -> Any:
        settings = (None, {"fields": ["identity", *OPERATOR_FIELDS, *KEYS]})
        return [settings, ("As reported by the charger", {"fields": REPORTED_FIELDS})] if charger else [settings]

    def get_readonly_fields(self, request: HttpRequest, charger: Charger | None = None) -> list[str]:
        if charger is None:
            return []
        # Others move chargers between their sites only, which the pages and REST check.
        site = [] if access.reaches_every_charger(request.user) else ["site"]
        return ["identity", *site, *REPORTED_FIELDS]

    def save_model(self, request: HttpRequest, charger: Charger, form: Any, change: bool) -> None:
        """Save changed columns alone, because messages of the charger may change others at the same time."""
        changed = [
            *OPERATOR_FIELDS,
            "authorization_key_hash",
            "next_authorization_key_hashes",
            "next_security_profile",
        ]
        derived = {"new_authorization_key", "remove_authorization_key", "security_profile"} & set(form.changed_data)
        fields = [name for name in changed if name in form.changed_data or (derived and name not in OPERATOR_FIELDS)]
        charger.save(update_fields=fields if change else None)
        if form.warning:
            audit.warn(charger, form.warning)
            self.message_user(request, form.warning, messages.WARNING)
        if change and derived:
            control.close_for_new_credentials(charger.identity)
        elif change and set(OF_SOCKET) & set(form.changed_data):
            control.change_settings(charger)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and access.reaches_every_charger(request.user)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.new_key)
        return [path("<int:pk>/new-key/", page, name="chargers_charger_new_key"), *super().get_urls()]

    def new_key(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Create a random key, and show it on the page that answers the request."""
        charger = self.get_object(request, str(pk))
        if charger is None or not self.has_change_permission(request, charger):
            raise PermissionDenied
        if request.method == "POST":
            with transaction.atomic():
                key = changes.new_key(charger)
            return shown_once(self, request, charger, f"The key of {charger}", key)
        context = {**self.admin_site.each_context(request), "title": "New key", "opts": self.opts, "row": charger}
        return TemplateResponse(request, "admin/chargers/new_key.html", context)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        present = presence.connected([charger.identity for charger in changelist.result_list])
        for charger in changelist.result_list:
            charger.is_connected = charger.identity in present
        return changelist

    @admin.display(boolean=True)
    def connected(self, charger: Any) -> bool:
        return charger.is_connected
