"""Pages of firmware campaigns: the list, the form of a new one, one campaign, and what users do with it."""

import json
from collections import defaultdict
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext

from chargers.models import Charger
from chargers.services import access
from chargers.services.access import own
from commands.api.filters import CampaignItemFilter
from commands.api.serializers.campaigns import CampaignSerializer
from commands.models import Campaign, CampaignItem, Firmware
from commands.models import campaign as states
from commands.models.weekly import zone_of
from commands.services import campaigns
from commands.services.origin import Origin
from dashboard import jobs, submission
from dashboard.templatetags.dashboard import times
from dashboard.views.base import Listing, Page, form_values
from dashboard.views.batches import selection
from dashboard.views.limits import confirmation

MAX_CHOICES = 500  # of models and of versions in the form
LONGEST_PATH = 8192  # with which the form is kept; browsers and proxies may refuse a longer one
IMAGES_LISTED = 10  # the newest ones, above the list of campaigns
NUMBERS = ("canaries", "at_once", "max_failures", "days")
DAY_FIELDS = [f"day{day}" for day in range(1, 8)]
USUAL = {"canaries": "1", "at_once": "10", "max_failures": "3", "days": "7"}


def find(page, pk):
    """Return the campaign with the numbers of its items; raise 404 for one of another user, see `access.own`."""
    rows = own(page.request.user, Campaign.objects.counted().select_related("firmware"))
    campaign = rows.filter(pk=pk).first()
    if campaign is None:
        raise Http404(gettext("There is no such campaign."))
    return campaign


class Campaigns(Listing):
    permission_required = "commands.view_command"
    template_name = "dashboard/campaigns.html"
    live_template = "dashboard/campaigns_live.html"
    kinds = ("campaign", "command")
    per_page = 25

    def rows(self):
        return own(self.request.user, Campaign.objects.counted().select_related("firmware"))

    def get_context_data(self, **kwargs):
        may_command = self.request.user.has_perm("commands.add_command")
        images = Firmware.objects.order_by("-pk")[:IMAGES_LISTED] if may_command else []
        return super().get_context_data(**kwargs) | {"may_command": may_command, "images": images}


class CampaignPage(Listing):
    """Progress of a campaign, and the state of each charger."""

    permission_required = "commands.view_command"
    template_name = "dashboard/campaign.html"
    live_template = "dashboard/campaign_live.html"
    kinds = ("campaign", "command")
    filterset_class = CampaignItemFilter
    per_page = 100

    def rows(self):
        return self.within(self.campaign.items.select_related("charger", "command"))

    def get_context_data(self, pk, **kwargs):
        self.campaign = find(self, pk)
        counts, state = self.campaign.counts, self.campaign.state
        may_command = self.request.user.has_perm("commands.add_command")
        allowed = {name for name, which in ALLOWED.items() if state in which}
        if self.campaign.finished_at:
            allowed.add("delete")
        if self.campaign.reason:
            allowed.add("stop")
        if not counts[CampaignItem.FAILED]:
            allowed.discard("retry")
        return super().get_context_data(**kwargs) | {
            "campaign": self.campaign,
            "goes_on": state == states.RUNNING or counts[CampaignItem.RUNNING],
            "allowed": allowed if may_command else (),
        }


# The states of a campaign in which each button is shown.
ALLOWED = {
    "start": {states.DRAFT},
    "delete": {states.DRAFT},
    "pause": {states.RUNNING},
    "resume": {states.PAUSED, states.STOPPED},
    "stop": {states.RUNNING, states.PAUSED},
    "retry": {states.RUNNING, states.PAUSED, states.STOPPED, states.FINISHED},
}
CONFIRMED = ("start", "resume", "retry")  # on a page that lists the chargers
DOES = {
    "pause": campaigns.pause,
    "resume": campaigns.resume,
    "stop": campaigns.stop,
    "retry": campaigns.retry,
    "delete": campaigns.delete,
}


class ChangeCampaign(Page):
    """Require a confirmation before a campaign updates chargers (GET), and do what the user wants (POST)."""

    permission_required = "commands.add_command"
    template_name = "dashboard/confirm.html"

    def get(self, request, pk, do):
        if do not in CONFIRMED:
            raise Http404(gettext("There is no such page."))
        campaign = find(self, pk)
        try:
            with submission.refusing():
                return self.render_to_response(self.get_context_data(campaign, do))
        except submission.Refused as refused:
            messages.error(request, refused.message)
            return redirect("dashboard:campaign", pk)

    def get_context_data(self, campaign, do, **kwargs):
        context = super().get_context_data(**kwargs) | {"back": reverse("dashboard:campaign", args=[campaign.pk])}
        if do == "start":
            return context | start_context(campaign, campaigns.preview(campaign, self.request.user))
        state = CampaignItem.FAILED if do == "retry" else CampaignItem.WAITING
        items = campaign.items.filter(state=state).values("charger")
        chargers = self.within(Charger.objects.filter(pk__in=items), "pk")
        heading = gettext("Repeat for those that failed") if do == "retry" else gettext("Resume campaign")
        shown = confirmation(chargers.order_by("identity"))
        return context | shown | {"heading": heading, "effect": effect(campaign)}

    def post(self, request, pk, do):
        campaign = find(self, pk)
        try:
            with submission.refusing():
                submission.count(request.user)
                by = request.user.get_username()
                if do == "start":
                    campaigns.start(campaign, request.user, by)
                elif do in DOES:
                    DOES[do](campaign, by)
                else:
                    raise Http404(gettext("There is no such page."))
        except submission.Refused as refused:
            messages.error(request, refused.message)
        if not Campaign.objects.filter(pk=pk).exists():
            return redirect("dashboard:campaigns")
        return redirect("dashboard:campaign", pk)


class NewCampaign(Page):
    """Form of a new campaign. The first POST says what it will do; the second one starts it, or stores a draft."""

    permission_required = "commands.add_command"
    template_name = "dashboard/new_campaign.html"

    def get_context_data(self, values=None, error=None, **kwargs):
        values = USUAL | self.request.GET.dict() if values is None else values
        is_new = not values.keys() & {"csrfmiddlewaretoken", *DAY_FIELDS}
        reachable = self.within(Charger.objects.all(), "pk").order_by()
        models = reachable.exclude(model="").values_list("vendor", "model").distinct().order_by("vendor", "model")
        versions = reachable.exclude(firmware_version="").values_list("firmware_version", flat=True).distinct()
        return super().get_context_data(**kwargs) | {
            "values": defaultdict(str, values),
            "error": error,
            "images": Firmware.objects.all(),
            "models": [(json.dumps(pair), " ".join(pair).strip()) for pair in models[:MAX_CHOICES]],
            "versions": versions.order_by("firmware_version")[:MAX_CHOICES],
            "sites": access.sites(self.request.user),
            "days": [(day, WEEKDAYS_ABBR[day - 1]) for day in range(1, 8)],
            "chosen_days": [day for day in range(1, 8) if is_new or f"day{day}" in values],
            "zone": zone_of(None),
        }

    def post(self, request):
        values = form_values(request)
        if "change" in values:
            return self.render_to_response(self.get_context_data(values))
        if "upload" in values:
            return self._upload(values)
        try:
            with submission.refusing():
                columns = self._columns(values)
                if {"confirmed", "draft"} & values.keys():
                    submission.count(request.user)
                    return self._made(columns, values)
                campaign = Campaign(**columns)
                preview = campaigns.preview(campaign, request.user)
        except submission.Refused as refused:
            return self.render_to_response(self.get_context_data(values, refused), status=refused.status)
        self.template_name = "dashboard/confirm.html"
        left_out = ("csrfmiddlewaretoken", "confirmed", "draft")
        context = Page.get_context_data(self) | start_context(campaign, preview)
        context |= {
            "kept": [(name, value) for name, value in values.items() if name not in left_out],
            "may_change": True,
            "may_store": True,
            "goes_to": request.path,
        }
        return self.render_to_response(context)

    def _upload(self, values):
        """Redirect to the form of a new image, which returns here with the `values` of the form."""
        left_out = ("csrfmiddlewaretoken", "upload", "firmware")
        kept = {name: value for name, value in values.items() if name not in left_out}
        here = f"{reverse('dashboard:new-campaign')}?{urlencode(kept)}"
        path = f"{reverse('dashboard:new-image')}?{urlencode({'next': here})}"
        if len(path) > LONGEST_PATH:
            text = gettext("This form is too long to be kept. Upload the image on the page of images first.")
            return self.render_to_response(self.get_context_data(values, {"message": text}), status=400)
        return redirect(path)

    def _columns(self, values):
        """Return the columns of the campaign that the form stands for."""
        kind = _kind(values.pop("of_kind", ""))
        body = {"firmware": values.get("firmware", ""), "name": values.get("name", ""), **selection(values | kind)}
        body |= {name: values[name] for name in NUMBERS if values.get(name)}
        body |= {name: values[name] for name in ("from_time", "until_time") if values.get(name)}
        body["weekdays"] = [day for day in range(1, 8) if f"day{day}" in values]
        serializer = CampaignSerializer(data=body, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return serializer.validated_data

    def _made(self, columns, values):
        origin = Origin(self.request.user.get_username())
        campaign = campaigns.create(columns, origin)
        if "confirmed" in values:
            try:
                with submission.refusing():
                    campaigns.start(campaign, self.request.user, origin.requested_by)
            except submission.Refused as refused:  # the draft stays
                messages.error(self.request, refused.message)
        return redirect("dashboard:campaign", campaign.pk)


def _kind(text):
    """Return the filters of the vendor and the model that the form names as `text`, {} for an empty one."""
    try:
        vendor, model = json.loads(text) if text else ("", "")
    except (ValueError, TypeError):
        raise submission.Refused(gettext("Select a model from the list."), 400, gettext("Model")) from None
    return {"of_vendor": str(vendor), "of_model": str(model)}


def effect(campaign):
    """Describe the effect of a campaign on each charger, and its limits."""
    text = gettext("Each charger fetches the image {image}, installs it and restarts.")
    sentences = [text.format(image=campaign.firmware)]
    if campaign.canaries:
        text = gettext("Canaries: {number}. The other chargers wait until the updates of these are confirmed.")
        sentences.append(text.format(number=campaign.canaries))
    text = gettext("At most {number} chargers are updated at a time.")
    sentences.append(text.format(number=campaign.at_once))
    text = gettext("Failures until it stops: {number}.")
    sentences.append(text.format(number=campaign.max_failures))
    if not campaign.is_constant:
        text = gettext("It sends {times}, in the time zone of the site of each charger.")
        sentences.append(text.format(times=times(campaign)))
    return " ".join(sentences)


def start_context(campaign, preview):
    """Return the context of `confirm.html` before a campaign is started."""
    shown = confirmation(preview.to_update)
    named = [f"{charger} ({charger.firmware_version or '–'})" for charger in preview.to_update[: jobs.MAX_NAMED]]
    notes = []
    if preview.skipped:
        text = gettext("Skipped, because they have the version {version} already ({number}): {names}")
        shown_names, version = _names(preview.skipped), campaign.firmware.version
        notes.append(text.format(number=len(preview.skipped), version=version, names=shown_names))
    if not campaign.firmware.version:
        notes.append(gettext("The version of the image is not known, so no charger is skipped."))
    if offline := [charger for charger in preview.to_update if not charger.is_online]:
        text = gettext("Not connected now: {names}. Days for which the campaign waits for them: {number}.")
        notes.append(text.format(number=campaign.days, names=_names(offline)))
    return shown | {
        "heading": gettext("Start campaign"),
        "effect": effect(campaign),
        "named": named,
        "notes": notes,
        "models": preview.by_model,
    }


def _names(chargers):
    return ", ".join(map(str, chargers[: jobs.MAX_NAMED])) + (" …" if len(chargers) > jobs.MAX_NAMED else "")
