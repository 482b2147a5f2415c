"""No command before the boot: chargers hear nothing until their first CALL, a BootNotification, is answered."""

import asyncio


class BootWait:
    """Of one socket: holds a command back until the first CALL was answered, or for some seconds without one.

    `send(message)` is called with the command that was held. Of several only the last is kept: the task of a command
    publishes it again until it is sent, and a charger has one such task at a time.
    """

    def __init__(self, send):
        self.send, self.held, self.over, self.timer = send, None, False, None
        self.begun = asyncio.get_running_loop().time()

    def last(self, seconds):
        """Hold for so many seconds at most, counted from when the socket was admitted; 0 holds nothing."""
        self._stop_timer()
        if self.over:
            return
        loop = asyncio.get_running_loop()
        if (end := self.begun + seconds) <= loop.time():
            self.end()
        else:
            self.timer = loop.call_at(end, self.end)

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
        self._stop_timer()

    def _stop_timer(self):
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
