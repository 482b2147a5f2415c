"""The settings, or one sentence about what is wrong with them: what every program does first."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured


def load():
    """Read the settings; where they cannot be used, end this process with one sentence instead of a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    try:
        settings.INSTALLED_APPS  # noqa: B018  (the first attribute makes Django import the module)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    load()
