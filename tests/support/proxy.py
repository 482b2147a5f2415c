"""A proxy that serves one path of another server, and takes the path off or passes it on."""

import socket
import threading
from contextlib import contextmanager

NOT_HERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nNot here."


@contextmanager
def proxy(port, prefix, strips):
    """The port of a proxy of 127.0.0.1:`port`. It answers 404 itself outside of `prefix`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, port, prefix, strips), daemon=True).start()
        yield listening.getsockname()[1]


def _accept(listening, *settings):
    while True:
        try:
            client, _ = listening.accept()
        except OSError:  # the test is over
            return
        threading.Thread(target=_serve, args=(client, *settings), daemon=True).start()


def _serve(client, port, prefix, strips):
    """One request for each connection, or one WebSocket."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (part := client.recv(65_536)):
            client.close()
            return
        head += part
    method, path, rest = head.split(b" ", 2)
    if not path.startswith(prefix.encode()):
        client.sendall(NOT_HERE)
        client.close()
        return
    if strips:
        path = path.removeprefix(prefix.encode()) or b"/"
    if b"upgrade: websocket" not in rest.lower():
        rest = rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1).replace(b"\r\nConnection: keep-alive", b"")
    upstream = socket.create_connection(("127.0.0.1", port))
    upstream.sendall(b" ".join([method, path, rest]))
    threading.Thread(target=_copy, args=(client, upstream), daemon=True).start()
    _copy(upstream, client)


def _copy(source, target):
    try:
        while part := source.recv(65_536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()
