"""Load the settings at the start of a program."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured


def load():
    """Read the settings. If one is invalid, end this process with one sentence instead of a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018  (access to an attribute makes Django import the module)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    load()
