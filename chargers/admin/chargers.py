"""Chargers and their data in the admin. `commands.admin` registers `ChargerAdmin` with actions that send commands."""

from collections.abc import Sequence

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.template.response import TemplateResponse
from django.urls import path

from chargers.admin.once import shown_once
from chargers.models import (
    Charger,
    Connector,
    DataTransfer,
    HeldSerial,
    InstalledCertificate,
    InstalledProfile,
    SecurityEvent,
    Variable,
)
from chargers.models.charger import OF_SOCKET
from chargers.services import access, audit, control, keys, presence


class ReadOnly:
    """Allow to view rows, but not to edit them."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class Scoped:
    """Restrict rows, and the choices of a charger, to chargers that the user may reach."""

    charger_path = "charger"

    def get_queryset(self, request):
        return access.within(request.user, super().get_queryset(request), self.charger_path)

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        if db_field.related_model is Charger:
            kwargs["queryset"] = access.within(request.user, Charger.objects.all(), "pk")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


OPERATOR_FIELDS = [
    "identity",
    "description",
    "boot_policy",
    "read_configuration_after_boot",
    "security_profile",
    *OF_SOCKET,
]


KEYS = ["new_authorization_key", "allow_short_key", "remove_authorization_key"]


class Commandable:
    """Require the permission to add commands for actions that send commands."""

    def has_command_permission(self, request):
        return request.user.has_perm("commands.add_command")


class AsSent:
    """Keep the spaces around values of the fields in `as_sent`, because these values are compared as sent."""

    as_sent: Sequence[str] = ()

    def formfield_for_dbfield(self, db_field, request, **kwargs):
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in self.as_sent:
            field.strip = False
        return field


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
        fields = OPERATOR_FIELDS

    warning = ""

    def clean(self):
        values = super().clean()
        if key := values.get("new_authorization_key"):
            try:
                self.warning = keys.check(key, values.get("allow_short_key"), 'tick "Allow short key"')
            except ValueError as error:
                self.add_error("new_authorization_key", str(error))
        return values

    def save(self, commit=True):
        if self.cleaned_data["remove_authorization_key"] or self.cleaned_data["new_authorization_key"]:
            self.instance.next_authorization_key_hashes = []
        if "security_profile" in self.changed_data:
            self.instance.next_security_profile = None
        if self.cleaned_data["remove_authorization_key"]:
            self.instance.authorization_key_hash = ""
        if key := self.cleaned_data["new_authorization_key"]:
            self.instance.authorization_key_hash = keys.hashed(key)
        return super().save(commit)


class ConnectorInline(ReadOnly, admin.TabularInline):
    model = Connector
    fields = readonly_fields = [
        "connector_id",
        "status",
        "error_code",
        "info",
        "scheduled_availability",
        "timestamp",
        "received_at",
    ]
    extra = 0


class VariableInline(ReadOnly, admin.TabularInline):
    model = Variable
    fields = readonly_fields = ["component", "variable", "value", "mutability", "reboot_required", "reported_at"]
    extra = 0


class InstalledProfileInline(ReadOnly, admin.TabularInline):
    model = InstalledProfile
    fields = readonly_fields = ["connector_id", "purpose", "stack_level", "charging_profile_id", "transaction_id"]
    extra = 0


class InstalledCertificateInline(ReadOnly, admin.TabularInline):
    model = InstalledCertificate
    fields = readonly_fields = ["certificate_type", "serial_number", "hash_algorithm", "updated_at"]
    extra = 0


class HeldSerialInline(admin.TabularInline):
    """A serial number that is deleted here becomes free for the next charger that reports it."""

    model = HeldSerial
    fields = readonly_fields = ["serial"]
    extra = 0

    def has_add_permission(self, request, charger=None):
        return False


class ChargerAdmin(Scoped, AsSent, Commandable, admin.ModelAdmin):
    charger_path = "pk"
    form = ChargerForm
    as_sent = ["identity"]
    list_display = ["identity", "connected", "vendor", "model", "firmware_version", "last_seen", "last_boot_at"]
    list_filter = ["boot_policy", "registration_status", "vendor", "model", "firmware_version"]
    search_fields = ["identity", "description", "serial_number", "charge_box_serial_number", "iccid"]
    date_hierarchy = "created_at"
    inlines = [ConnectorInline, VariableInline, InstalledProfileInline, InstalledCertificateInline]
    inlines += [HeldSerialInline]
    reported_fields = [
        "registration_status",
        *(f.name for f in Charger._meta.fields if f.editable and f.name not in [*OPERATOR_FIELDS, "id"]),
    ]

    def get_fieldsets(self, request, charger=None):
        settings = (None, {"fields": [*OPERATOR_FIELDS, *KEYS]})
        return [settings, ("As reported by the charger", {"fields": self.reported_fields})] if charger else [settings]

    def get_readonly_fields(self, request, charger=None):
        return ["identity", *self.reported_fields] if charger else []

    def save_model(self, request, charger, form, change):
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

    def has_add_permission(self, request):
        return super().has_add_permission(request) and access.reaches_every_charger(request.user)

    def get_urls(self):
        page = self.admin_site.admin_view(self.new_key)
        return [path("<int:pk>/new-key/", page, name="chargers_charger_new_key"), *super().get_urls()]

    def new_key(self, request, pk):
        """Create a random key, and show it on the page that answers the request."""
        charger = self.get_object(request, str(pk))
        if charger is None or not self.has_change_permission(request, charger):
            raise PermissionDenied
        if request.method == "POST":
            with transaction.atomic():
                key = charger.make_key()
                control.close_for_new_credentials(charger.identity)
            return shown_once(self, request, charger, f"The key of {charger}", key)
        context = {**self.admin_site.each_context(request), "title": "New key", "opts": self.opts, "row": charger}
        return TemplateResponse(request, "admin/chargers/new_key.html", context)

    def get_changelist_instance(self, request):
        changelist = super().get_changelist_instance(request)
        present = presence.connected([charger.identity for charger in changelist.result_list])
        for charger in changelist.result_list:
            charger.is_connected = charger.identity in present
        return changelist

    @admin.display(boolean=True)
    def connected(self, charger):
        return charger.is_connected


@admin.register(Connector)
class ConnectorAdmin(Scoped, ReadOnly, admin.ModelAdmin):
    list_display = ["charger", "connector_id", "status", "error_code", "info", "timestamp"]
    list_filter = ["status", "error_code", "connector_id"]
    search_fields = ["charger__identity", "info", "vendor_error_code"]
    list_select_related = ["charger"]
    date_hierarchy = "received_at"


@admin.register(SecurityEvent)
class SecurityEventAdmin(Scoped, ReadOnly, admin.ModelAdmin):
    list_display = ["received_at", "charger", "type", "timestamp", "tech_info"]
    list_filter = ["type"]
    search_fields = ["charger__identity", "tech_info"]
    list_select_related = ["charger"]
    date_hierarchy = "received_at"


@admin.register(DataTransfer)
class DataTransferAdmin(Scoped, ReadOnly, admin.ModelAdmin):
    list_display = ["received_at", "charger", "vendor_id", "message_id", "status", "data"]
    list_filter = ["status", "vendor_id"]
    search_fields = ["charger__identity", "vendor_id", "message_id"]
    list_select_related = ["charger"]
    date_hierarchy = "received_at"
