"""X-Forwarded-For is trusted only from a proxy of FORWARDED_ALLOW_IPS."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.support.beside import web_beside

LIMIT = 3


@pytest.fixture(scope="module")
def unproxied(live):
    with web_beside(live, "unproxied", LOGIN_FAILURES=str(LIMIT), FORWARDED_ALLOW_IPS="") as web:
        yield web


def failed_login(url, forwarded):
    """The HTTP status of a login with a wrong password, and with this X-Forwarded-For."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.open(f"{url}/login/", timeout=30).read()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"username": "admin", "password": "guessed", "csrfmiddlewaretoken": token}
    headers = {"X-Forwarded-For": forwarded, "Referer": f"{url}/login/"}
    request = urllib.request.Request(f"{url}/login/", urllib.parse.urlencode(form).encode(), headers)
    try:
        return opener.open(request, timeout=30).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_forged_address_evades_no_limit_of_logins(unproxied):
    answers = [failed_login(unproxied.url, f"192.0.2.{n}") for n in range(LIMIT + 1)]
    assert answers[-1] == 429
    assert answers[0] == 200
