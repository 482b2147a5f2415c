"""Bodies that are too large are refused before Django spools them."""

import http.client
from urllib.parse import urlsplit

import pytest

PATHS = [("/healthz", 9), ("/api/ocpp/commands/", 9)]


@pytest.mark.parametrize(("path", "mebibytes"), PATHS)
def test_a_body_with_a_large_content_length_is_not_read(live, path, mebibytes):
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=10)
    connection.putrequest("PUT", path)
    connection.putheader("Content-Length", str(mebibytes * 2**20))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"the limit is" in answer.read()


def test_a_chunked_body_that_is_too_large_is_refused(live):
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc, timeout=10)
    pieces = (b"x" * 2**20 for _ in range(9))
    connection.request(
        "POST", "/api/ocpp/commands/", pieces, {"Content-Type": "application/json"}, encode_chunked=True
    )
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"too large" in answer.read()
