"""The models of the system, and those of them that have pages in the admin."""

from django.apps import apps
from django.contrib import admin

APPS = ("chargers", "transactions", "commands", "dashboard")


def own_models():
    return [model for model in apps.get_models() if model._meta.app_label in APPS]


def admin_models():
    return [model for model in own_models() if model in admin.site._registry]


def admin_url(model):
    """The name of the URLs of a model in the admin, without the page, such as `admin:commands_command`."""
    return f"admin:{model._meta.app_label}_{model._meta.model_name}"
