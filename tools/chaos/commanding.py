"""A client that submits commands all the time, over REST, and remembers what became of each request."""

import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from uuid import uuid4

NOTHING = "Nothing was submitted"  # so says an answer with 5xx that leaves no doubt
COMMAND_INTERVAL_S = 0.25
# How long a charger has to answer, in seconds.
TIMEOUTS = {"steady": 10, "slow": 10, "silent": 2, "absent": 2}


class Commanding:
    """`asked`: {task id: (charger id, manner)}. `refused` counts what was not taken, and so is owed nothing, by HTTP
    status or the name of an error; `refused_keys` are the idempotency keys of those that leave no doubt."""

    def __init__(self, url, targets):
        self.url, self.targets = url, targets  # [(charger id, manner)]
        self.asked, self.refused, self.refused_keys = {}, Counter(), []
        self.going, self.over = threading.Event(), False
        self.going.set()
        threading.Thread(target=self._go_on, daemon=True).start()

    def make_known(self, charger_id):
        self._request("POST", "chargers/", {"charger_id": charger_id})

    def _go_on(self):
        while not self.over:
            self.going.wait()
            self.ask(*random.choice(self.targets))
            time.sleep(COMMAND_INTERVAL_S)

    def ask(self, charger_id, manner):
        """The task id of a new command, None where it was not taken."""
        body = {"charger_id": charger_id, "action": "ClearCache", "payload": {}, "timeout": TIMEOUTS[manner]}
        key = f"chaos-{uuid4()}"
        try:
            task_id = self._request("POST", "commands/", body, {"Idempotency-Key": key})["task_id"]
        except urllib.error.HTTPError as error:
            self.refused[error.code] += 1
            if error.code < 500 or NOTHING.encode() in error.read():
                self.refused_keys.append(key)
            return None
        except (OSError, ValueError) as error:
            self.refused[type(error).__name__] += 1
            return None
        self.asked[task_id] = (charger_id, manner)
        return task_id

    def task(self, task_id, wait):
        """The task, None while nobody tells."""
        try:
            return self._request("GET", f"tasks/{task_id}/?wait={wait}")
        except (OSError, ValueError):
            return None

    def active(self):
        """Ids of the chargers that are shown online, None while nobody tells."""
        try:
            return set(self._request("GET", "chargers/?page_size=1")["active_chargers"])
        except (OSError, ValueError):
            return None

    def is_answered(self, charger_id):
        """Whether a new command to `charger_id` is answered within five seconds."""
        task_id = self.ask(charger_id, "steady")
        task = task_id and self.task(task_id, 5)
        return bool(task) and task["outcome"] == "answered"

    def _request(self, method, path, body=None, more_headers=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | (more_headers or {})
        request = urllib.request.Request(f"{self.url}/api/ocpp/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
