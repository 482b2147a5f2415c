"""Bodies at the door, before Django spools them."""

import http.client
from urllib.parse import urlsplit

import pytest

PATHS = [("/healthz", 9), ("/api/ocpp/commands/", 9)]


@pytest.mark.parametrize(("path", "mebibytes"), PATHS)
def test_a_body_that_says_it_is_too_large_is_not_read(live, path, mebibytes):
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=10)
    connection.putrequest("PUT", path)
    connection.putheader("Content-Length", str(mebibytes * 2**20))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413 and b"the limit is" in answer.read()


def test_a_body_that_turns_out_too_large_is_told_so(live):
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=10)
    pieces = (b"x" * 2**20 for _ in range(9))
    connection.request(
        "POST", "/api/ocpp/commands/", pieces, {"Content-Type": "application/json"}, encode_chunked=True
    )
    answer = connection.getresponse()
    assert answer.status == 413 and b"too large" in answer.read()
