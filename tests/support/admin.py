"""The models of the admin."""

from django.contrib import admin


def admin_models():
    return [
        model for model in admin.site._registry if model._meta.app_label in ("chargers", "transactions", "commands")
    ]
