"""Django's admin on a site of ours."""

from django.contrib.admin.apps import AdminConfig


class DeclaredAdminConfig(AdminConfig):
    default_site = "chargers.lookups.Site"
