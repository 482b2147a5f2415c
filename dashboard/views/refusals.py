"""The page of refused connections, with the reason of each and a button to add the charger."""

from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from chargers.models import Refusal
from chargers.services import refusals
from core.http.errors import Conflict
from dashboard.views.base import Listing, Page


class Refusals(Listing):
    permission_required = "chargers.view_charger"
    template_name = "dashboard/refusals.html"

    def rows(self):
        return refusals.visible(self.request.user).order_by(*Refusal._meta.ordering)

    def get_context_data(self, **kwargs):
        user = self.request.user
        may_add = user.has_perm("chargers.add_charger") and refusals.may_add(user)
        return super().get_context_data(**kwargs) | {"may_add": may_add}


class AddCharger(Page):
    """POST creates the charger of a refused connection; only the response shows its key."""

    permission_required = ("chargers.view_charger", "chargers.add_charger")
    template_name = "dashboard/new_key.html"
    http_method_names = ["post"]

    def post(self, request, pk):
        if not refusals.may_add(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can add a charger."))
        refusal = get_object_or_404(refusals.visible(request.user), pk=pk)
        try:
            charger, key = refusals.add_charger(refusal)
        except Conflict as conflict:
            context = self.get_context_data(detail=conflict.detail)
            return TemplateResponse(request, "dashboard/error.html", context, status=409)
        return self.render_to_response(self.get_context_data(added=charger, key=key))
