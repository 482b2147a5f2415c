"""Django behind ASGI, each request in one thread.

Django's own handler goes from the event loop to a thread and back for every middleware, some fifteen times a
request, and starts a thread for it: most of what a short request costs, taken from the sockets of its process (see
docs/performance.md). All our views are synchronous, so a request goes to a thread once; only a streamed response is
sent from the event loop.
"""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import orjson
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest, get_script_prefix
from django.core.signals import request_started
from django.db import close_old_connections, connection
from django.urls import set_script_prefix

from chargers.in_db_thread import in_db_thread
from config import bodies

# A client that waits for a task (?wait=) holds a thread, but no database connection.
THREADS = 1000
# Threads of their own: whoever asks whether we are alive must not wait behind those, nor behind one who asks whether
# we are ready while a server hangs.
URGENT = {"/healthz": 2, "/readyz": 4}
# What is not bound to ALLOWED_HOSTS: it has no link, and no page that could be shown under a foreign name.
ANY_HOST = (*URGENT, "/metrics")


class Request(ASGIRequest):
    """A request whose scope has the path below URL_PREFIX; Django knows it with the prefix before it."""

    def __init__(self, scope, body_file):
        super().__init__(scope | {"path": settings.URL_PREFIX + scope["path"]}, body_file)

    def get_host(self):
        """The host as asked for; any is taken by paths that load balancers and Prometheus ask for by IP address."""
        return self._get_raw_host() if self.path_info in ANY_HOST else super().get_host()


class Handler(ASGIHandler):
    request_class = Request

    def __init__(self):
        super().__init__()
        self.load_middleware(is_async=False)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="http")
        self.urgent = {path: ThreadPoolExecutor(threads, path) for path, threads in URGENT.items()}

    async def __call__(self, scope, receive, send):
        with suppress(RequestAborted):
            try:
                body = await bodies.read(scope, receive, self._judged)
            except bodies.Refused as refusal:
                await _refuse(refusal, send)
                return
            with closing(body):
                await self._serve(scope, body.file, receive, send)

    async def _serve(self, scope, body, receive, send):
        threads = self.urgent.get(scope["path"], self.threads)
        response = await asyncio.get_running_loop().run_in_executor(threads, self._respond, scope, body)
        if response.streaming:
            await self._stream(response, receive, send)
        else:
            await self.send_response(response, send)

    async def _judged(self, scope):
        """What body is allowed to it, see `bodies.judge`."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, self._judge, scope)

    def _judge(self, scope):
        try:
            return bodies.judge(self.request_class(scope, io.BytesIO()))
        finally:
            connection.close()

    async def _stream(self, response, receive, send):
        """Until it ends, or its client has gone: some never end by themselves."""
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

    def _respond(self, scope, body):
        """The whole of a request, but for the sending; the thread's database connection is free afterwards."""
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is not None:
            response = self.get_response(request)
        if response.streaming:
            close_old_connections()
        else:
            response.close()  # which tells that the request is finished
        return response


async def _refuse(refusal, send):
    """The connection is closed: what is still to come of the body is not read."""
    said = orjson.dumps({"error": refusal.reason})
    told = {"content-type": "application/json", "content-length": str(len(said)), "connection": "close"}
    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in (told | refusal.headers).items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": said})
