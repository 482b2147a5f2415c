"""Pages that change a charger: its settings, its key, and its deletion."""

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect
from django.utils.translation import gettext
from rest_framework.exceptions import APIException

from chargers.api.serializers.chargers import ChargerSerializer
from chargers.models import Charger
from chargers.models.charger import OPERATOR_FIELDS
from chargers.services import changes
from core.http.errors import sentence
from core.sentences import translated
from dashboard.labels import CHARGER_HINTS, CHARGERS
from dashboard.templatetags.dashboard import charger_url
from dashboard.views.base import Page
from dashboard.views.editing import EditPage, shown_once


class EditCharger(EditPage):
    model = Charger
    fields = (*OPERATOR_FIELDS, "authorization_key", "allow_short_key")
    labels, hints = CHARGERS, CHARGER_HINTS
    template_name = "dashboard/edit_charger.html"
    is_change = True

    def find(self):
        self.charger = self.known_charger(self.kwargs["charger_id"])
        return self.charger

    def serializer(self, row, **options):
        return ChargerSerializer(row, context={"request": self.request, "connected": set()}, **options)

    def title(self, row):
        return gettext("Settings of {charger}").format(charger=row)

    def save(self, serializer):
        former = Charger.objects.get(pk=self.charger.pk)
        charger = serializer.save()
        changes.notify(charger, former)
        return charger

    def back_to(self):
        return charger_url("dashboard:charger", self.charger.identity)

    def done(self, row, serializer):
        if serializer.warning:
            messages.warning(self.request, translated(serializer.warning))
        return super().done(row, serializer)


class NewKey(Page):
    """POST sets a new key, which only the response shows."""

    permission_required = "chargers.change_charger"
    http_method_names = ["post"]

    def post(self, request, charger_id):
        charger = self.known_charger(charger_id)
        with transaction.atomic():
            key = changes.new_key(charger)
        text = gettext(
            "Enter the key in the charger as the password of HTTP Basic authentication, with {charger} as the user "
            "name. The charger can connect with this key only."
        )
        there = charger_url("dashboard:charger", charger_id)
        title = gettext("New key of {charger}").format(charger=charger)
        return shown_once(self, title, text.format(charger=charger_id), gettext("Key"), key, there)


class DeleteCharger(Page):
    """POST deletes a charger without transactions and commands."""

    permission_required = "chargers.delete_charger"
    http_method_names = ["post"]

    def post(self, request, charger_id):
        charger = self.known_charger(charger_id)
        try:
            with transaction.atomic():
                changes.remove(charger)
        except APIException as error:
            messages.error(request, translated(sentence(error)))
            return redirect(charger_url("dashboard:charger", charger_id))
        messages.success(request, gettext("{charger} was deleted.").format(charger=charger_id))
        return redirect("dashboard:fleet")
