"""The web program within this process, and a charger of it, for scripts that look at what happens inside."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import django

django.setup()

import uvicorn  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from chargers.models import Charger  # noqa: E402
from commands.models import Command  # noqa: E402
from commands.services.enqueueing import TASKS  # noqa: E402
from config.serve import OPTIONS  # noqa: E402


@contextmanager
def web():
    """Yield the URL of the sockets of a web program in a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config("config.asgi:application", **OPTIONS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the web program has ended"
        time.sleep(0.02)
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/ocpp"
    server.should_exit = True
    thread.join()


@contextmanager
def connected(url, subprotocol):
    """Yield a new `Charger` and `call(action, payload)`, which returns the answer to a CALL, and its socket."""
    charger = Charger.objects.create(identity=f"in-process-{time.time_ns()}")
    with connect(f"{url}/{charger.identity}", subprotocols=[subprotocol]) as charger_socket:

        def call(action, payload):
            charger_socket.send(json.dumps([2, f"{action}-{time.time_ns()}"[:36], action, payload]))
            return json.loads(charger_socket.recv(timeout=20))

        yield charger, call, charger_socket


def answer(task_id, charger_socket, payload):
    """Run the task of a command, and answer it by `payload` as its charger; return the CALL."""
    command = Command.objects.get(task_id=task_id)
    task = TASKS[command.action]
    arguments = {"args": [command.charger.identity], "task_id": command.task_id, "throw": True}
    worker = threading.Thread(target=task.apply, kwargs=arguments, name="worker")
    worker.start()
    sent = json.loads(charger_socket.recv(timeout=20))
    charger_socket.send(json.dumps([3, sent[1], payload]))
    worker.join()
    return sent
