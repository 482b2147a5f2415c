"""Other chargers, whose heartbeats must be answered whatever the charger under test does."""

import threading
from contextlib import ExitStack, contextmanager

from tests.support.live import an_id, eventually, exchange

OTHERS = 6  # so that each web process has some
LONGEST_WAIT_S = 15  # only tells a stall from a busy machine: an idle one answers within 20 ms


class Others:
    """The numbers of answers that some chargers have received to heartbeats, which they send all the time."""

    def __init__(self):
        self.over, self.answered = threading.Event(), [0] * OTHERS

    def beat(self, number, charger):
        while not self.over.wait(0.01):
            assert exchange(charger, "beat", "Heartbeat", {}, timeout=LONGEST_WAIT_S)[0] == 3
            self.answered[number] += 1

    def are_each_answered(self, times):
        """Wait until each has received so many answers from now on."""
        before = list(self.answered)
        eventually(
            lambda: all(now - then >= times for now, then in zip(self.answered, before, strict=True)),
            times * LONGEST_WAIT_S,
        )


@contextmanager
def others_undisturbed(live):
    """Yield `Others` that send heartbeats until the block ends, and check that each was answered within the block."""
    others, stalled = Others(), []

    def beat(number, charger):
        try:
            others.beat(number, charger)
        except Exception as error:  # noqa: BLE001  (a thread does not fail its test)
            stalled.append(error)

    with ExitStack() as opened:
        chargers = [opened.enter_context(live.socket(an_id())) for _ in range(OTHERS)]
        threads = [threading.Thread(target=beat, args=entry) for entry in enumerate(chargers)]
        for thread in threads:
            thread.start()
        try:
            yield others
        finally:
            others.over.set()
            for thread in threads:
                thread.join()
    assert not stalled, stalled
    assert min(others.answered) > 0
