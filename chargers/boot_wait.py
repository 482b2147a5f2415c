"""No command before the boot: chargers hear nothing until their first CALL, a BootNotification, is answered."""

import asyncio


class BootWait:
    """Of one socket: holds a command back until the first CALL was answered, or for `seconds` without one.

    `send(message)` is called with the command that was held. Of several only the last is kept: the task of a command
    publishes it again until it is sent, and a charger has one such task at a time.
    """

    def __init__(self, seconds, send):
        self.send, self.held = send, None
        self.over = not seconds
        self.timer = None if self.over else asyncio.get_running_loop().call_later(seconds, self.end)

    def hold(self, message):
        """Whether `message` has to wait, and is kept until then."""
        if not self.over:
            self.held = message
        return not self.over

    def end(self):
        """The charger is ready: send what was held."""
        self.stop()
        if self.held is not None:
            held, self.held = self.held, None
            self.send(held)

    def stop(self):
        """Hold nothing any more, and send nothing of it later."""
        self.over = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
