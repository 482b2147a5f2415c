"""What the views of all apps are made of."""

from django.db import transaction
from rest_framework import viewsets

from chargers.access import within

NOT_KEPT = {"Cache-Control": "no-store"}  # of answers that tell a secret, once


class Scoped:
    """For a view of rows that are of a charger: of those alone that its user may reach."""

    charger_path = "charger"

    def get_queryset(self):
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):  # the schema is being drawn
            return rows
        return within(self.request.user, rows, self.charger_path)


class Editable(viewsets.ModelViewSet):
    """What is changed is changed together with its entry in the audit log, or not at all."""

    @transaction.atomic
    def create(self, *args, **kwargs):
        return super().create(*args, **kwargs)

    @transaction.atomic
    def update(self, *args, **kwargs):
        return super().update(*args, **kwargs)

    @transaction.atomic
    def destroy(self, *args, **kwargs):
        return super().destroy(*args, **kwargs)
