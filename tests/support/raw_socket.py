"""A socket at the level of bytes: the handshake, single frames, and what the server sends back."""

import json
import socket
from urllib.parse import urlparse

from websockets.frames import Frame, Opcode

HANDSHAKE = (
    "GET /ws/ocpp/{charger_id} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)


def heartbeat(message_id):
    return json.dumps([2, message_id, "Heartbeat", {}]).encode()


def frame(payload, opcode=Opcode.TEXT, fin=True, mask=True):
    return Frame(opcode, payload, fin).serialize(mask=mask, extensions=[])


class Wire:
    """A socket after the handshake."""

    def __init__(self, url, charger_id="frames", wait=True):
        address = urlparse(url)
        self.socket = socket.create_connection((address.hostname, address.port), 10)
        self.socket.sendall(HANDSHAKE.format(charger_id=charger_id).encode())
        self.received = b""
        if wait:
            self.read_handshake()

    def read_handshake(self):
        while b"\r\n\r\n" not in self.received:
            self.received += self.socket.recv(4096)
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101")

    def next(self):
        """(opcode, payload) of the next frame; all frames of the server are short here."""
        while len(self.received) < 2 or len(self.received) < 2 + self.received[1]:
            more = self.socket.recv(4096)
            assert more, "closed without a frame"
            self.received += more
        opcode, length = self.received[0] & 15, self.received[1]
        payload, self.received = self.received[2 : 2 + length], self.received[2 + length :]
        return opcode, payload

    def answered(self):
        opcode, payload = self.next()
        assert opcode == Opcode.TEXT
        kind, message_id, _ = json.loads(payload)
        assert kind == 3
        return message_id

    def close_code(self):
        opcode, payload = self.next()
        assert opcode == Opcode.CLOSE
        return int.from_bytes(payload[:2], "big")
