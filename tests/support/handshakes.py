"""Handshakes of chargers with the keys of the tests."""

from base64 import b64encode

from gateway.credentials import HandshakeRequest

KEY, NEXT = "00112233445566778899aabbccddeeff00112233", "ffeeddccbbaa99887766554433221100ffeeddcc"


def a_request(charger, key="", **more):
    credentials = b64encode(f"{charger}:".encode() + key.encode())
    return HandshakeRequest(charger.identity, b"Basic " + credentials if key else b"", **more)
