"""Commands: how long one takes when nothing else goes on, how many go in a second, and what silent chargers cost."""

import http.client
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse

from tools.bench import servers

CLEAR = {"action": "ClearCache", "payload": {}}


class Client:
    """REST over one lasting connection."""

    def __init__(self, url):
        address = urlparse(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body)
        self.connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        said = json.loads(answer.read())
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said}")
        return said

    def ask(self, charger_id, **more):
        return self.call("POST", "/api/ocpp/commands/", {"charger_id": charger_id, **CLEAR, **more})["task_id"]

    def finished(self, task_id):
        while True:
            task = self.call("GET", f"/api/ocpp/tasks/{task_id}/?wait=30")
            if task["state"] == "finished":
                return task


class Nothing:
    """Tasks that do nothing, sent by Celery itself; their results are read from the result backend's table."""

    def __init__(self, product):
        from tools.bench.tasks import nothing

        self.product, self.task = product, nothing

    def ask(self):
        return self.task.apply_async().id

    def finished(self, task_id):
        from django_celery_results.models import TaskResult

        while not TaskResult.objects.filter(task_id=task_id, status="SUCCESS").exists():
            time.sleep(0.0005)


def idle(product, nothing, number):
    """Milliseconds from the request to a result that can be read, one after the other: {who: median}."""
    with product.web(2), product.workers(1), servers.fleet(product.chargers_url, chargers=20, prefix="cmd"):
        client = Client(product.url)
        ours, theirs = [], []
        for turn in range(-10, number):  # the first ones are not counted; in turn, so that both meet the same moment
            took = _timed(lambda turn=turn: client.finished(client.ask(f"cmd{turn % 20}")))
            empty = _timed(lambda: nothing.finished(nothing.ask()))
            if turn >= 0:
                ours.append(took)
                theirs.append(empty)
    return {"command": statistics.median(ours), "nothing": statistics.median(theirs)}


def throughput(product, nothing, number, chargers=500):
    """Per second, through the same two workers: {who: rate} from the first request to the last result."""
    with product.web(2), product.workers(2), servers.fleet(product.chargers_url, chargers=chargers, prefix="many"):
        clients = [Client(product.url) for _ in range(8)]
        began = time.time()
        _share(clients, range(number), lambda client, turn: client.ask(f"many{turn % chargers}"))
        ours = _rate_until(product, began, number, "commands_command", "finished_at", "state = 'finished'")
        began = time.time()
        _share(clients, range(number), lambda client, turn: nothing.ask())
        done = "status = 'SUCCESS' AND task_name = 'tools.bench.nothing'"
        theirs = _rate_until(product, began, number, "django_celery_results_taskresult", "date_done", done)
    return {"command": ours, "nothing": theirs}


def behind_silence(product, silent, live):
    """Seconds until `live` commands are answered, without and with commands to `silent` chargers just before."""
    with (
        product.web(2),
        product.workers(2),
        servers.fleet(product.chargers_url, chargers=live, prefix="live"),
        servers.fleet(product.chargers_url, chargers=silent, prefix="silent", silent=True),
    ):
        clients = [Client(product.url) for _ in range(8)]
        alone = _answered(clients, live)
        _share(clients, range(silent), lambda client, number: client.ask(f"silent{number}", timeout=60))
        time.sleep(1)
        behind = _answered(clients, live)
        waiting = product.sql("SELECT count(*) FROM commands_command WHERE state <> 'finished'")[0][0]
    if waiting < silent:
        raise RuntimeError(f"Only {waiting} commands to silent chargers were under way.")
    return {"alone": alone, "behind": behind}


def _answered(clients, live):
    began = time.perf_counter()
    tasks = _share(clients, range(live), lambda client, number: client.ask(f"live{number}"))
    ends = _share(clients, tasks, lambda client, task: client.finished(task)["outcome"])
    if set(ends) != {"answered"}:
        raise RuntimeError(f"Not all were answered: {ends}")
    return time.perf_counter() - began


def _share(clients, items, work):
    """`work(client, item)` for all items, each client one at a time."""
    items = list(items)
    with ThreadPoolExecutor(len(clients)) as pool:
        parts = [items[first :: len(clients)] for first in range(len(clients))]
        done = pool.map(lambda pair: [work(pair[0], item) for item in pair[1]], zip(clients, parts, strict=True))
        return [outcome for part in done for outcome in part]


def _rate_until(product, began, number, table, finished, condition):
    statement = (
        f"SELECT count(*), extract(epoch FROM max({finished})) FROM {table} "
        f"WHERE {condition} AND {finished} > to_timestamp(%s)"
    )
    deadline = time.time() + 120
    while (row := product.sql(statement, [began])[0])[0] < number:
        if time.time() > deadline:
            raise RuntimeError(f"Only {row[0]} of {number} were finished.")
        time.sleep(0.2)
    return number / (float(row[1]) - began)


def _timed(work):
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
