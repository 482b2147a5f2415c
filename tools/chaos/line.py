"""A telephone line between chargers and the server: it may be slow, and it may go dead without a word."""

import asyncio
import contextlib


class Line:
    """Forwards TCP from a port of its own; `delay` in seconds, each way."""

    def __init__(self, port):
        self.to, self.delay, self.dead = port, 0.0, False

    async def open(self):
        self.server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _carry(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        with contextlib.suppress(asyncio.CancelledError):  # the end of the run
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                while self.dead:  # as after a power cut: neither data nor an end gets through
                    await asyncio.sleep(0.1)
                writer.write(piece)
                await writer.drain()
        while self.dead:
            await asyncio.sleep(0.1)
        writer.transport.abort()
