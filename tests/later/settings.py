"""The settings with an app more, whose migrations stand for those of a later version."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.later"]
