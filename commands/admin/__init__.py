"""Admin of commands and related models in `commands`, of batches and schedules in `batches`; `actions` on others."""

from commands.admin import actions, batches, commands  # noqa: F401  (to register their classes)
