"""Mix-ins and base classes of the admins of all apps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from chargers.admin.lists import LargeTableAdmin
from chargers.models import Charger, Site
from chargers.services import access

if TYPE_CHECKING:  # the class with which admins and inlines combine the mix-ins
    from django.contrib.admin.options import BaseModelAdmin

    Mixed = BaseModelAdmin[Any]
else:
    Mixed = object


class ReadOnly(Mixed):
    """Allow to view rows, but not to edit them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Scoped(Mixed):
    """Restrict rows, and the choices of a charger or a site, to those that the user may reach."""

    charger_path = "charger"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access.within(request.user, super().get_queryset(request), self.charger_path)

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Charger:
            kwargs["queryset"] = access.within(request.user, Charger.objects.all(), "pk")
        if db_field.related_model is Site:
            kwargs["queryset"] = access.sites(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class RequiresEveryCharger(Mixed):
    """Require the permission to reach every charger, because the rows name chargers or users of all groups."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return super().has_module_permission(request) and access.reaches_every_charger(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and access.reaches_every_charger(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and access.reaches_every_charger(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and access.reaches_every_charger(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and access.reaches_every_charger(request.user)


class Commandable(Mixed):
    """Require the permission to add commands for actions that send commands."""

    def has_command_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("commands.add_command")


class AsSent(Mixed):
    """Keep the spaces around values of the fields in `as_sent`, because these values are compared as sent."""

    as_sent: Sequence[str] = ()

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in self.as_sent and isinstance(field, forms.CharField):
            field.strip = False
        return field


class HistoryAdmin(Scoped, ReadOnly, admin.ModelAdmin):
    """Rows about chargers that can only be viewed. Register it with the columns of a model as options."""

    list_select_related = ["charger"]


class LargeHistoryAdmin(LargeTableAdmin, HistoryAdmin):
    """A `HistoryAdmin` for a table with millions of rows."""


def shown_once(
    model_admin: admin.ModelAdmin, request: HttpRequest, row: Model, title: str, secret: str
) -> TemplateResponse:
    """Show a new secret on one page. A message of Django is not used, because it would be stored in a cookie."""
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "row": row,
        "secret": secret,
    }
    return TemplateResponse(request, "admin/chargers/shown_once.html", context, headers={"Cache-Control": "no-store"})
