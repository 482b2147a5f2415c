"""How long chargers waited for their answers."""

import math

LONGEST_RISE = 1.0  # seconds by which the p99 of chargers that a fault does not concern may rise, usually


class Waits:
    """Messages by the moment (of `time.monotonic`) at which they were first sent."""

    def __init__(self):
        self.answered = []  # (charger id, sent at, answered at)

    def add(self, charger_id, sent, answered):
        self.answered.append((charger_id, sent, answered))

    def forget(self):
        self.answered.clear()

    def p99(self, chargers, since, until):
        """In seconds, of the messages that `chargers` sent between the two moments; None if there were none.

        A message that has no answer at `until` counts with its age.
        """
        ids = {charger.identity for charger in chargers}
        found = [
            min(answered, until) - sent
            for charger_id, sent, answered in self.answered
            if charger_id in ids and since <= sent < until
        ]
        waiting = [charger.asked for charger in chargers if charger.waiting]
        found += [until - sent for sent in waiting if since <= sent < until]
        return percentile(found)


def percentile(figures, share=0.99):
    """The smallest figure that is not exceeded by `share` of all; None without figures."""
    return sorted(figures)[math.ceil(len(figures) * share) - 1] if figures else None
