"""Base classes of the views of all apps."""

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.decorators import method_decorator
from rest_framework import viewsets

from chargers.services.access import own, within

if TYPE_CHECKING:
    from rest_framework.generics import GenericAPIView

    View = GenericAPIView[Any]
else:
    View = object

NO_STORE = {"Cache-Control": "no-store"}  # for answers with a secret that is shown once


class Scoped(View):
    """Restrict the rows of a view to those that its user may see: those of chargers that the user may reach."""

    charger_path = "charger"

    def get_queryset(self) -> QuerySet[Any]:
        rows = super().get_queryset()
        is_schema_generated = getattr(self, "swagger_fake_view", False)  # without a user
        return rows if is_schema_generated else self.visible(rows)

    def visible(self, rows: Any) -> QuerySet[Any]:
        """Filter `rows` to those that the user of the request may see."""
        return within(self.request.user, rows, self.charger_path)


class OwnedByRequester(Scoped):
    """Restrict the rows of a view to those that its user submitted, see `access.own`."""

    def visible(self, rows: Any) -> QuerySet[Any]:
        return own(self.request.user, rows)


@method_decorator(transaction.atomic, name="create")
@method_decorator(transaction.atomic, name="update")
@method_decorator(transaction.atomic, name="destroy")
class Editable(viewsets.ModelViewSet):
    """Make each change and its entry in the audit log in one transaction."""
