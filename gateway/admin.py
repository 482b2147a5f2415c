"""Messages about transactions that wait for an operator, in the admin."""

from typing import TYPE_CHECKING, Any, TypedDict

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from rest_framework.exceptions import APIException

from chargers.admin.base import HistoryAdmin
from core.http.errors import sentence
from gateway import orphans
from gateway.api import completion
from transactions.models import OrphanStop

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

APPLY = "admin/transactions/orphanstop/apply.html"
UNITS = {"meter_start": " (Wh)", "meter_stop": " (Wh)", "timestamp": " (such as 2026-02-26T13:00:00Z)"}


class Likely(TypedDict):
    """The id of the likeliest transaction, which the list adds to each of its rows."""

    likely: int | None


@admin.action(description="Attach to the likeliest transaction", permissions=["attach"])
def attach_to_likeliest(modeladmin: "OrphanStopAdmin", request: HttpRequest, chosen: QuerySet[OrphanStop]) -> None:
    for orphan in chosen:
        likeliest = OrphanStop.candidates_of([orphan]).get(orphan.pk)
        if not likeliest:
            messages.error(request, f"{orphan}: no transaction fits.")
            continue
        try:
            orphans.apply(orphan, {"transaction_id": likeliest[0]})
        except APIException as error:
            messages.error(request, f"{orphan}: {sentence(error)}")


@admin.register(OrphanStop)
class OrphanStopAdmin(HistoryAdmin):
    list_display = ["received_at", "charger", "action", "refused_because", "reported_transaction_id", "likely"]
    list_display += ["transaction", "payload"]
    list_filter = ["action", ("refused_because", admin.EmptyFieldListFilter)]
    search_fields = ["charger__identity", "=reported_transaction_id"]
    list_select_related = ["charger", "transaction__charger"]
    date_hierarchy = "received_at"
    list_per_page = 50
    actions = [attach_to_likeliest]

    def has_attach_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("transactions.change_transaction")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist: ChangeList = super().get_changelist_instance(request)
        candidates = OrphanStop.candidates_of(changelist.result_list)
        for orphan in changelist.result_list:
            orphan.likely = next(iter(candidates.get(orphan.pk, ())), None)
        return changelist

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.apply)
        return [path("<int:pk>/apply/", page, name="transactions_orphanstop_apply"), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["may_attach"] = self.has_attach_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def apply(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form that completes a message and has it take effect."""
        orphan = self.get_object(request, str(pk))
        if orphan is None or not self.has_attach_permission(request):
            raise PermissionDenied
        filled_in = {name: text for name in orphans.members_of(orphan) if (text := request.POST.get(name))}
        wrong = ""
        if request.method == "POST":
            try:
                applied = orphans.apply(orphan, completion(filled_in))
                return redirect("admin:transactions_transaction_change", applied.pk)
            except APIException as error:
                wrong = sentence(error)
        return TemplateResponse(request, APPLY, self._form(request, orphan, filled_in, wrong))

    def _form(
        self, request: HttpRequest, orphan: OrphanStop, filled_in: dict[str, str], wrong: str
    ) -> dict[str, Any]:
        labels = {name: f"{member}{UNITS.get(name, '')}" for name, member in orphans.members_of(orphan).items()}
        return {
            **self.admin_site.each_context(request),
            "title": "Apply by hand",
            "opts": self.opts,
            "row": orphan,
            "wrong": wrong,
            "fields": [(name, label, filled_in.get(name, "")) for name, label in labels.items()],
            "candidates": OrphanStop.candidates_of([orphan]).get(orphan.pk, []),
        }

    @admin.display(description="likely about")
    def likely(self, orphan: "WithAnnotations[OrphanStop, Likely]") -> int | None:
        return orphan.likely
