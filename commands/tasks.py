"""The Celery tasks: one for each action, so that Flower and the results group by it."""

from celery import shared_task

from commands.actions import ACTIONS
from commands.lifecycle import carry_out


def _task(action):
    @shared_task(name=f"commands.{action}", bind=True)
    def task(self, charger_id):
        command = carry_out(self.request.id)
        if command is None:
            return None
        return {"outcome": command.outcome, "simulated": command.simulated, "result": command.result}

    return task


TASKS = {action: _task(action) for action in ACTIONS}
