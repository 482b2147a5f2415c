"""Django's ASGI handler, with each request in one thread.

Django's own handler switches between the event loop and a thread for every middleware, some fifteen times a request,
and starts a thread for it. These switches are most of the cost of a short request, at the expense of the sockets of
its process (see docs/performance.md). All our views are synchronous, so a request is handed to a thread once; only a
streamed response is sent from the event loop.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.signals import request_started
from django.db import close_old_connections, connection
from django.urls import set_script_prefix

from config import bodies
from config.bodies import Receive, Scope, Send
from core.db.in_db_thread import in_db_thread

# Many, because a client that waits for a task (?wait=) occupies a thread, though no database connection.
THREADS = 1000
# {path: number of its own threads}, because a health check must not wait for other requests, and /healthz must not
# wait for a /readyz that waits for a server.
HEALTH_CHECK_THREADS = {"/healthz": 2, "/readyz": 4}
# Paths that ignore ALLOWED_HOSTS, because their answers have no links and are no pages.
ANY_HOST = (*HEALTH_CHECK_THREADS, "/metrics")


class Request(ASGIRequest):
    """A request. The path in its scope lacks URL_PREFIX, which Django expects, so it is added."""

    def __init__(self, scope: Scope, body_file: Any) -> None:
        super().__init__(scope | {"path": settings.URL_PREFIX + scope["path"]}, body_file)

    def get_host(self: Any) -> str:
        """The host. Paths of ANY_HOST accept any, because load balancers and Prometheus use IP addresses."""
        return self._get_raw_host() if self.path_info in ANY_HOST else super().get_host()


class Handler(ASGIHandler):
    request_class = Request

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="http")
        self.health_check_threads = {
            path: ThreadPoolExecutor(threads, path) for path, threads in HEALTH_CHECK_THREADS.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(RequestAborted):
            try:
                body = await bodies.read(scope, receive, self._authorized)
            except bodies.BodyRefused as refusal:
                await _refuse(refusal, send)
                return
            with closing(body):
                await self._serve(scope, body.file, receive, send)

    async def _serve(
        self,
        scope: Scope,
        body: Any,
        receive: Receive,
        send: Send,
    ) -> None:
        threads = self.health_check_threads.get(scope["path"], self.threads)
        response = await asyncio.get_running_loop().run_in_executor(threads, self._respond, scope, body)
        if response.streaming:
            await self._stream(response, receive, send)
        else:
            await self.send_response(response, send)

    async def _authorized(self, scope: Scope) -> bodies.Allowance:
        """Run `bodies.authorize` in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, self._authorize, scope)

    def _authorize(self, scope: Scope) -> bodies.Allowance:
        try:
            return bodies.authorize(self.request_class(scope, io.BytesIO()))
        finally:
            connection.close()

    async def _stream(self, response: Any, receive: Receive, send: Send) -> None:
        """Send the response until it ends or its client disconnects, because some streams have no end."""
        sending = asyncio.create_task(self.send_response(response, send))
        leaving = asyncio.create_task(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
            await in_db_thread(response.close)()
        if isinstance(results[0], Exception):
            raise results[0]

    def _respond(self, scope: Scope, body: Any) -> Any:
        """Run a request up to its response, and free the database connection of the thread."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, error = self.create_request(scope, body)
        response: Any = error
        if request is not None:
            response = self.get_response(request)
        if response.streaming:
            close_old_connections()
        else:
            response.close()  # sends the signal request_finished
        return response


async def _refuse(refusal: bodies.BodyRefused, send: Send) -> None:
    """Answer without reading the rest of the body, and close the connection."""
    body = orjson.dumps({"error": refusal.reason})
    fields = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
    headers = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in (fields | refusal.headers).items()
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
