"""The product's settings, with an app more that has a migration to apply."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tools.chaos.migrated"]
