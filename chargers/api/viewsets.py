"""Base classes of the views of all apps."""

from django.db import transaction
from rest_framework import viewsets

from chargers.services.access import within

NO_STORE = {"Cache-Control": "no-store"}  # for answers with a secret that is shown once


class Scoped:
    """Restrict the rows of a view to those of chargers that its user may reach."""

    charger_path = "charger"

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # the OpenAPI schema is being generated
            return rows
        return within(self.request.user, rows, self.charger_path)


class Editable(viewsets.ModelViewSet):
    """Make each change and its entry in the audit log in one transaction."""

    @transaction.atomic
    def create(self, *args, **kwargs):
        return super().create(*args, **kwargs)

    @transaction.atomic
    def update(self, *args, **kwargs):
        return super().update(*args, **kwargs)

    @transaction.atomic
    def destroy(self, *args, **kwargs):
        return super().destroy(*args, **kwargs)
