"""Admin of commands and related models in `commands`, of batches and schedules in `batches`; `actions` on others."""

from commands.admin import actions
from commands.admin.batches import BatchAdmin, ScheduleAdmin
from commands.admin.commands import CommandAdmin

__all__ = ["BatchAdmin", "CommandAdmin", "ScheduleAdmin", "actions"]
