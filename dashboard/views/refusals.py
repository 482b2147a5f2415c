"""The page of refused connections, with the reason of each and a link to add the charger."""

from chargers.models import Refusal
from chargers.services import refusals
from dashboard.views.base import Listing


class Refusals(Listing):
    permission_required = "chargers.view_charger"
    template_name = "dashboard/refusals.html"

    def rows(self):
        return refusals.visible(self.request.user).order_by(*Refusal._meta.ordering)

    def get_context_data(self, **kwargs):
        user = self.request.user
        may_add = user.has_perm("chargers.add_charger") and refusals.may_add(user)
        return super().get_context_data(**kwargs) | {"may_add": may_add}
