"""The admin of this app, with one module for each subject."""

from chargers.admin import access, events, histories, incidents, messages, refusals  # noqa: F401  (to register them)
