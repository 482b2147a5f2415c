"""Make Django's admin use the site of this project."""

from django.contrib.admin.apps import AdminConfig


class DeclaredAdminConfig(AdminConfig):
    default_site = "core.admin.lookups.Site"
