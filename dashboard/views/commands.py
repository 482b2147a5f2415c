"""Pages of commands: the list, and one command."""

from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.utils.translation import gettext

from commands.actions.table import NAMES
from commands.api.filters import CommandFilter
from commands.models import OUTCOMES, Command
from commands.services.queries import get_command
from dashboard import submission
from dashboard.views.base import Listing, Page


class Commands(Listing):
    permission_required = "commands.view_command"
    template_name = "dashboard/commands.html"
    live_template = "dashboard/commands_live.html"
    kinds = ("command",)
    filterset_class = CommandFilter

    def rows(self):
        return self.within(Command.objects.select_related("charger"))

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {"actions": NAMES, "outcomes": OUTCOMES}


class CommandPage(Page):
    """One command: when it was queued, sent and answered."""

    permission_required = "commands.view_command"
    template_name = "dashboard/command.html"
    live_template = "dashboard/command_live.html"
    kinds = ("command",)

    def get_context_data(self, task_id, **kwargs):
        command = self.command(task_id)
        self.charger = command.charger
        self.use_zone_of(self.charger)
        return super().get_context_data(**kwargs) | {
            "command": command,
            "payload": command.payload,
            "may_command": self.request.user.has_perm("commands.add_command"),
        }

    def command(self, task_id):
        command = get_command(task_id)
        if command is None or not self.within(Command.objects.filter(pk=command.pk)).exists():
            raise Http404(gettext("There is no command {task_id}.").format(task_id=task_id))
        return command


class Again(CommandPage):
    """POST sends a finished command again, as a new command."""

    permission_required = "commands.add_command"
    http_method_names = ["post"]

    def post(self, request, task_id):
        former = self.command(task_id)
        try:
            return redirect("dashboard:command", submission.resubmit(request.user, former).task_id)
        except submission.Refused as refused:
            messages.error(request, refused.message)
            return redirect("dashboard:command", task_id)
