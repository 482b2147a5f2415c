"""Pages of notification rules: the list, and one rule with its form, its test and its deliveries."""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect
from django.utils.dates import WEEKDAYS
from django.utils.translation import get_language, gettext

from chargers.api.serializers.incidents import NotificationRuleSerializer
from chargers.models import NotificationDelivery, NotificationRule, Site
from chargers.models.incidents import KINDS, SEVERITIES
from chargers.services import access, incident_notifications
from dashboard.views.base import Listing, Page, form_values

# ISO numbers and names.
DAYS = tuple((number + 1, name) for number, name in WEEKDAYS.items())
TEXTS = ("name", "severity", "channel", "language", "target")  # fields that are always sent
OPTIONAL = ("site", "from_time", "until_time", "escalate_after", "escalation_target")  # empty: null
DEFAULTS = {"severity": "warning", "channel": "email", "is_enabled": "on"}


class EveryCharger:
    """Require the reach of every charger, because a rule may be about all of them."""

    def dispatch(self, request, *args, **kwargs):
        if request.user.is_authenticated and not access.reaches_every_charger(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can see notification rules."))
        return super().dispatch(request, *args, **kwargs)


class NotificationRules(EveryCharger, Page):
    permission_required = "chargers.view_notificationrule"
    template_name = "dashboard/notification_rules.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {
            "rules": NotificationRule.objects.select_related("site"),
            "channels": NotificationRule.CHANNELS,
            "may_add": self.request.user.has_perm("chargers.add_notificationrule"),
        }


class RuleForm:
    """The form of a rule."""

    def form(self, values, chosen, errors=None):
        return {
            "values": values,
            "chosen_kinds": chosen["kinds"],
            "chosen_weekdays": chosen["weekdays"],
            "errors": errors or {},
            "sites": Site.objects.all(),
            "severities": SEVERITIES,
            "incident_kinds": KINDS,
            "weekdays": DAYS,
            "channels": NotificationRule.CHANNELS,
            "message_languages": settings.LANGUAGES,
        }

    def save(self, request, rule=None):
        """Return the saved rule and None, or None and the context of the form with its errors."""
        values = form_values(request)
        chosen = {"kinds": request.POST.getlist("kinds"), "weekdays": _numbers(request.POST.getlist("weekdays"))}
        try:
            body = _body(values, chosen)
        except ValueError:
            return None, self.form(values, chosen, {"template": [gettext("This is not JSON.")]})
        serializer = NotificationRuleSerializer(rule, data=body, context={"request": request})
        if not serializer.is_valid():
            return None, self.form(values, chosen, serializer.errors)
        with transaction.atomic():
            return serializer.save(), None


def _numbers(texts):
    return [int(text) for text in texts if text in "1234567" and text]


def _body(values, chosen) -> dict[str, Any]:
    """Return the body of the API request for the form `values`; raise `ValueError` for an invalid template."""
    body = {name: values.get(name, "") for name in TEXTS} | chosen
    body |= {name: values.get(name) or None for name in OPTIONAL}
    body |= {name: name in values for name in ("is_enabled", "notify_end")}
    return body | {"template": json.loads(values["template"]) if values.get("template", "").strip() else None}


def _values(rule):
    """Return the fields of the form for a rule."""
    shown = NotificationRuleSerializer(rule).data
    values = {name: shown[name] for name in (*TEXTS, *OPTIONAL) if shown[name] is not None}
    values |= {name: "on" for name in ("is_enabled", "notify_end") if shown[name]}
    template = shown["template"]
    return values | {"template": "" if template is None else json.dumps(template, indent=2, ensure_ascii=False)}


class NewRule(EveryCharger, RuleForm, Page):
    permission_required = "chargers.add_notificationrule"
    template_name = "dashboard/new_notification_rule.html"

    def get_context_data(self, form=None, **kwargs):
        everything = {"kinds": [], "weekdays": [number for number, _ in DAYS]}
        values = DEFAULTS | {"language": get_language()}
        return super().get_context_data(**kwargs) | (form or self.form(values, everything))

    def post(self, request):
        rule, form = self.save(request)
        if rule is None:
            return self.render_to_response(self.get_context_data(form=form), status=400)
        messages.info(request, gettext("Rule saved. Send a test message now."))
        return redirect("dashboard:notification-rule", rule.pk)


class RulePage(EveryCharger, RuleForm, Listing):
    """One rule with its deliveries. POST saves, tests or deletes it, or sends dead messages again."""

    permission_required = "chargers.view_notificationrule"
    template_name = "dashboard/notification_rule.html"

    def rows(self):
        return self.rule.deliveries.select_related("incident__charger")

    def get_context_data(self, pk, form=None, **kwargs):
        self.rule = self.find(pk)
        user = self.request.user
        chosen = {"kinds": self.rule.kinds, "weekdays": self.rule.weekdays}
        return super().get_context_data(**kwargs) | {
            "rule": self.rule,
            "dead": self.rule.deliveries.filter(state=NotificationDelivery.DEAD).exclude(reason="test").count(),
            "may_change": user.has_perm("chargers.change_notificationrule"),
            "may_delete": user.has_perm("chargers.delete_notificationrule"),
            **(form or self.form(_values(self.rule), chosen)),
        }

    def find(self, pk):
        rule = NotificationRule.objects.select_related("site").filter(pk=pk).first()
        if rule is None:
            raise Http404(gettext("There is no such notification rule."))
        return rule

    def post(self, request, pk):
        rule, what = self.find(pk), request.POST.get("do", "")
        needed = f"chargers.{'delete' if what == 'delete' else 'change'}_notificationrule"
        if not request.user.has_perm(needed):
            self.permission_required = needed
            return self.handle_no_permission()
        if what == "save":
            saved, form = self.save(request, rule)
            if saved is None:
                return self.render_to_response(self.get_context_data(pk, form=form), status=400)
            messages.info(request, gettext("Changes saved."))
        elif what == "test":
            delivery = incident_notifications.test(rule)
            sent = gettext("The test message was sent.")
            failed = gettext("The test message was not sent: {error}").format(error=delivery.error)
            messages.info(request, failed if delivery.error else sent)
        elif what == "replay":
            dead = rule.deliveries.filter(state=NotificationDelivery.DEAD).exclude(reason="test")
            dead.replay()
            messages.info(request, gettext("The messages are sent again."))
        elif what == "delete":
            rule.delete()
            return redirect("dashboard:notification-rules")
        return redirect("dashboard:notification-rule", pk)
