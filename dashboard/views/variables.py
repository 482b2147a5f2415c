"""Pages of the device model of a charger: its variables, and one of them with a form that changes its value."""

from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q
from django.http import Http404
from django.shortcuts import redirect
from django.utils.translation import gettext

from chargers import standard_variables
from chargers.models.variables import NAME
from chargers.services import variables
from chargers.services.variables import VariableName
from commands.actions.intents import SetVariable
from core.ocpp.redaction import HIDDEN, names_secret
from dashboard import pickers, submission
from dashboard.places import name_of
from dashboard.views.base import Listing, Page, form_values

SEARCHED = ("component", "component_instance", "variable", "instance", "value")
MAX_SEARCH_WORDS = 10  # each adds five conditions
MAX_CHANGES = 50  # of one variable on its page
MAX_LINE = 200  # characters of a single-line input


class Variables(Listing):
    """The variables that a charger reported or accepted, by component."""

    permission_required = "chargers.view_charger"
    template_name = "dashboard/variables.html"
    live_template = "dashboard/variables_live.html"
    kinds = ("charger", "command")
    per_page = 200

    def rows(self):
        query = self.request.GET
        rows = self.charger.variables.order_by(*NAME)
        for word in query.get("search", "").replace("\0", " ").split()[:MAX_SEARCH_WORDS]:
            rows = rows.filter(reduce(or_, [Q(**{f"{column}__icontains": word}) for column in SEARCHED]))
        if query.get("component"):
            rows = rows.filter(component=query["component"].replace("\0", " "))
        return rows.exclude(mutability="ReadOnly") if "writable" in query else rows

    def get_context_data(self, charger_id, **kwargs):
        self.charger = self.known_charger(charger_id)
        context = super().get_context_data(**kwargs)
        components = self.charger.variables.exclude(component="").order_by("component")
        return context | {
            "variables": [shown(row) for row in context["page"].object_list],
            "components": components.values_list("component", flat=True).distinct(),
            "is_incomplete": variables.are_incomplete(self.charger.pk),
            "may_command": self.request.user.has_perm("commands.add_command"),
        }


def shown(variable):
    """Set what a page shows of a variable: `place`, `limits`, and `is_secret` with its value hidden."""
    variable.is_secret = names_secret(variable.variable) or names_secret(variable.component)
    if variable.is_secret and variable.value:
        variable.value = HIDDEN
    variable.limits = pickers.limits(variable)
    variable.group = _component_of(variable)
    return variable


def _component_of(variable):
    """Name the component with its instance, EVSE and connector."""
    parts = [variable.component, variable.component_instance]
    parts += [name_of(True, variable.evse_id, variable.connector_id)] if variable.evse_id is not None else []
    return " · ".join(filter(None, parts))


def _parts(variable):
    return variable.component, variable.variable, variable.instance


@dataclass
class Input:
    """The input for a value: `kind` is choice, number, box or text; `choices` are the values of a choice."""

    kind: str
    choices: list[str]


def input_of(variable):
    """Return the `Input` for a variable by its data type."""
    data_type = pickers.facts(variable).get("data_type", "")
    if data_type == "boolean":
        return Input("choice", ["true", "false"])
    if data_type == "OptionList" and (listed := pickers.values_of(variable)):
        return Input("choice", listed)
    if data_type in ("integer", "decimal"):
        return Input("number", [])
    return Input("box" if len(variable.value or "") > MAX_LINE else "text", [])


class VariablePage(Page):
    """One variable with its characteristics; POST submits the command that sets it, and redirects to its page."""

    permission_required = "chargers.view_charger"
    template_name = "dashboard/variable.html"

    def get_context_data(self, charger_id, pk, value=None, error=None, **kwargs):
        variable = shown(self._find(charger_id, pk))
        made = input_of(variable)
        current = "" if variable.is_secret else variable.value or ""
        entered = current if value is None else value
        may_change = self.request.user.has_perm("commands.add_command") and not variable.readonly
        return super().get_context_data(**kwargs) | {
            "variable": variable,
            "input": made,
            "choices": list(dict.fromkeys([*made.choices, *filter(None, [entered])])),
            "entered": entered,
            "error": error,
            "may_change": may_change,
            "changes": self._changes(variable),
            "description": getattr(standard_variables.find(*_parts(variable)), "description", ""),
        }

    def post(self, request, charger_id, pk):
        self.check_may_command()
        variable = self._find(charger_id, pk)
        value = form_values(request).get("value", "")
        name = VariableName(**{part: getattr(variable, part) for part in NAME})
        try:
            submission.refuse_read_only(variable)
            command = submission.submit_intent(request.user, self.charger, SetVariable(name, value))
        except submission.Refused as refused:
            context = self.get_context_data(charger_id, pk, value, refused)
            return self.render_to_response(context, status=refused.status)
        return redirect("dashboard:command", command.task_id)

    def _changes(self, variable):
        """Return the last changes of the value; those of a secret are not shown."""
        if variable.is_secret:
            return ()
        named = {part: getattr(variable, part) for part in NAME}
        texts = {f"{part}__iexact": named.pop(part) for part in list(named) if isinstance(named[part], str)}
        return self.charger.variable_changes.filter(**named, **texts)[:MAX_CHANGES]

    def _find(self, charger_id, pk):
        self.charger = self.known_charger(charger_id)
        variable = self.charger.variables.filter(pk=pk).first()
        if variable is None:
            raise Http404(gettext("There is no such variable."))
        return variable
