"""The page that changes a setting of all chargers of one model, chosen from what they have reported."""

import json
from collections import defaultdict

from django.db.models import Count
from django.shortcuts import redirect
from django.utils.translation import gettext

from chargers.models import Charger, Variable
from chargers.models.variables import ACTUAL, NAME
from chargers.services.variables import VariableName
from commands.actions.intents import SetVariable
from commands.actions.table import encode
from core.ocpp.redaction import names_secret
from dashboard import pickers, submission
from dashboard.views.base import Page, form_values
from dashboard.views.limits import confirmation
from dashboard.views.variables import input_of

MAX_MODELS, MAX_VARIABLES = 200, 1000  # in the choices of the form
OF_MODEL = ("vendor", "model", "ocpp_version")


class ChangeSettings(Page):
    """Form in three steps: the model, the setting with its value, and what will happen; then the batch is made."""

    permission_required = "commands.add_command"
    template_name = "dashboard/change_settings.html"

    def get_context_data(self, values=None, error=None, **kwargs):
        values = defaultdict(str, self.request.GET.dict() if values is None else values)
        chargers = self._chargers(values["of"])
        variables = self._variables(chargers) if values["of"] else {}
        variable = variables.get(values["variable"])
        return super().get_context_data(**kwargs) | {
            "values": values,
            "models": self._models(),
            "number": chargers.count() if values["of"] else 0,
            "variables": [(key, _name(row), " ".join(pickers.limits(row))) for key, row in variables.items()],
            "variable": variable,
            "limits": pickers.limits(variable) if variable else (),
            "input": input_of(variable) if variable else None,
            "error": error,
        }

    def post(self, request):
        values = form_values(request)
        if "change" in values:
            return self.render_to_response(self.get_context_data(values))
        try:
            chargers = list(self._chargers(values.get("of", "")))
            body = self._body(chargers, values)
            if "confirmed" in values:
                return redirect("dashboard:batch", submission.submit_batch(request.user, body).pk)
            submission.preview(request, body, {})
        except submission.Refused as refused:
            return self.render_to_response(self.get_context_data(values, refused), status=refused.status)
        self.template_name = "dashboard/confirm.html"
        return self.render_to_response(self.get_context_data(values) | self._preview(chargers, values))

    def _body(self, chargers, values):
        """Return the body of an API request for a batch; raise `Refused`."""
        row = self._variables(self._chargers(values.get("of", ""))).get(values.get("variable", ""))
        if not chargers or row is None:
            raise submission.Refused(gettext("Select a model and a setting."), 400)
        name = VariableName(**{part: getattr(row, part) for part in NAME})
        with submission.refusing():
            action, payload = encode(chargers[0].version, SetVariable(name, values.get("value", "")))
        return {
            "action": action,
            "payload": payload,
            "chargers": [charger.identity for charger in chargers],
            "only_connected": False,
        }

    def _preview(self, chargers, values):
        name = _name(self._variables(self._chargers(values["of"]))[values["variable"]])
        kept = [(key, value) for key, value in values.items() if key not in ("csrfmiddlewaretoken", "confirmed")]
        return confirmation(chargers) | {
            "heading": gettext("Change setting"),
            "effect": gettext("{name} is set to {value}.").format(name=name, value=values.get("value", "")),
            "kept": kept,
            "may_change": True,
            "goes_to": self.request.path,
        }

    def _models(self):
        """Return (choice, name, number of chargers) of the models within reach that have reported something."""
        rows = self.within(Charger.objects.all(), "pk").exclude(model="").values(*OF_MODEL)
        counted = rows.annotate(number=Count("pk")).order_by(*OF_MODEL)[:MAX_MODELS]
        return [
            (json.dumps([row[part] for part in OF_MODEL]), f"{row['vendor']} {row['model']}", row["number"])
            for row in counted
        ]

    def _chargers(self, choice):
        try:
            parts = json.loads(choice or "[]")
        except ValueError:
            parts = []
        if not isinstance(parts, list) or len(parts) != len(OF_MODEL) or not all(isinstance(p, str) for p in parts):
            return Charger.objects.none()
        rows = self.within(Charger.objects.all(), "pk")
        return rows.filter(**dict(zip(OF_MODEL, parts, strict=True))).order_by("identity")

    def _variables(self, chargers):
        """Return {choice: one of the rows} of the settings that `chargers` reported and that can be changed."""
        rows = Variable.objects.filter(charger__in=chargers, attribute=ACTUAL).exclude(mutability="ReadOnly")
        found = rows.order_by(*NAME, "pk").distinct(*NAME)[:MAX_VARIABLES]
        shown = (row for row in found if not (names_secret(row.variable) or names_secret(row.component)))
        return {_choice(row): row for row in shown}


def _choice(row):
    return json.dumps([getattr(row, part) for part in NAME])


def _name(row):
    place = "" if row.evse_id is None else gettext("EVSE {evse}").format(evse=row.evse_id)
    return " · ".join(filter(None, [row.component, row.component_instance, place, row.variable, row.instance]))
