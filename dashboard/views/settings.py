"""The page with links to everything that operators set."""

from django.contrib.auth.mixins import LoginRequiredMixin
from django.views.generic import TemplateView


class Settings(LoginRequiredMixin, TemplateView):
    template_name = "dashboard/settings.html"
