"""The start of a program: its settings and its limits."""

import os
import resource
import sys

from django.core.exceptions import ImproperlyConfigured

MAX_OPEN_FILES = 65_536


def load_settings() -> None:
    """Read the settings. If one is invalid, end this process with one sentence instead of a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018  (access to an attribute makes Django import the module)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


def allow_many_files() -> None:
    """Raise the soft limit of open files, because each charger and each waiting command needs one; 1024 is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, MAX_OPEN_FILES) if hard != resource.RLIM_INFINITY else MAX_OPEN_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    load_settings()
