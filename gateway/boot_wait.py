"""Hold commands back until the first CALL of a charger, a BootNotification, has been answered."""

import asyncio
from collections.abc import Callable
from typing import NotRequired, TypedDict


class CommandMessage(TypedDict):
    """A command as its task sends it to a socket. `payload` is JSON text, `trace` the headers of its trace."""

    task_id: str
    action: str
    payload: str
    trace: NotRequired[dict[str, str]]


class BootWait:
    """Hold a command of one socket back until the first CALL has been answered, or until a limit in seconds.

    `send(message)` is called with the held command. Only the last of several commands is held, because the task of a
    command publishes it again until it is sent, and a charger has one such task at a time.
    """

    def __init__(self, send: Callable[[CommandMessage], object]) -> None:
        self.send, self.has_ended = send, False
        self.held: CommandMessage | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.begun = asyncio.get_running_loop().time()

    def limit(self, seconds: float) -> None:
        """Hold for at most `seconds` after the handshake; 0 holds nothing."""
        self._stop_timer()
        if self.has_ended:
            return
        loop = asyncio.get_running_loop()
        if (end := self.begun + seconds) <= loop.time():
            self.end()
        else:
            self.timer = loop.call_at(end, self.end)

    def hold(self, message: CommandMessage) -> bool:
        """Hold `message` if the charger is not ready, and return whether it is held."""
        if not self.has_ended:
            self.held = message
        return not self.has_ended

    def end(self) -> None:
        """Send the held command, because the charger is ready."""
        self.stop()
        if self.held is not None:
            held, self.held = self.held, None
            self.send(held)

    def stop(self) -> None:
        """Stop holding commands, and do not send the held one later."""
        self.has_ended = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
