"""A client of the REST API. It needs `requests` and no other file of this project, so you can copy it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests

JSON = dict[str, Any]
LONGEST_WAIT = 30  # seconds the server holds a poll
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between attempts while the server is unavailable or busy
STREAM_TIMEOUT_S = 60  # an event stream without data for so long is dead; the server sends some every 15 s
RETRIED_STATUSES = (429, 502, 503, 504)
LIST_MEMBERS = {"transactions/": "transaction_logs"}  # member of a page with its rows, if not `results`


class Error(Exception): ...


class Unreachable(Error):
    """The server gave no answer, or one that is not of this API."""


class NotInTime(Error):
    """The task was not finished within `timeout`. It still runs, so you can wait again."""


class Refused(Error):
    """The server answered with status 400 or more; `fields` are the messages for bad input, {name: [sentences]}."""

    def __init__(self, status: int, sentence: str, fields: dict[str, list[str]], retry_after: float | None = None):
        super().__init__(f"{status}: {sentence}")
        self.status, self.sentence, self.fields, self.retry_after = status, sentence, fields, retry_after


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    task_id: str
    charger_id: str
    action: str
    outcome: str
    is_simulated: bool
    response: JSON | None
    simulated_response: JSON | None
    error: JSON | None
    task: JSON = field(repr=False)

    @property
    def answered(self) -> bool:
        """Whether the charger answered with a response; a CALLERROR and a simulated response do not count."""
        return self.outcome == "answered"

    @property
    def status(self) -> str:
        """The `status` in the response of the charger, such as Accepted or Rejected; "" without one."""
        return (self.response or {}).get("status", "")

    def __bool__(self) -> bool:
        raise TypeError("An outcome has no truth value. Use .answered, .status or .is_simulated.")


@dataclass
class Task:
    client: "Client" = field(repr=False)
    task_id: str

    def wait(self, timeout: float | None = None) -> Outcome:
        """Wait for the outcome and return it. Raises `NotInTime` after `timeout` seconds, with None never."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        pauses = _pauses()
        while True:
            left_s = LONGEST_WAIT if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            try:
                task = self.client.get(f"tasks/{self.task_id}/", wait=min(left_s, LONGEST_WAIT))
                if task["state"] == "finished":
                    return _outcome(task)
                pause = FIRST_PAUSE  # because a server that holds many polls answers further ones at once
            except (Unreachable, Refused) as error:
                pause = _pause_after(error, pauses)
            if deadline_s is not None and time.monotonic() + pause >= deadline_s:
                raise NotInTime(f"Task {self.task_id} was not finished after {timeout} s.")
            time.sleep(pause)


class Client:
    """`Client("https://ocpp.example.org", token="…")`; omit the token if the server has API_AUTH=none."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0):
        self._base, self._timeout = f"{url.rstrip('/')}/api/ocpp/", timeout
        self._session = requests.Session()
        self._session.trust_env = False  # because requests would send a .netrc in place of the token
        self._session.headers["Accept"] = "application/json"
        if token:
            self._session.headers["Authorization"] = f"Token {token}"

    def command(self, charger_id: str, action: str, timeout: float | None = None, **payload: Any) -> Task:
        """Submit a command without waiting for its outcome.

        `payload` is in camelCase; `timeout` is the time in seconds that the charger has to answer.
        """
        body = {"charger_id": charger_id, "action": action, "payload": payload}
        return Task(self, self.post("commands/", body | ({} if timeout is None else {"timeout": timeout}))["task_id"])

    def chargers(self, **filters: Any) -> Iterator[JSON]:
        return self.pages("chargers/", **filters)

    def charger(self, charger_id: str) -> JSON:
        return self.get(f"chargers/{quote(charger_id, safe='')}/")

    def transactions(self, **filters: Any) -> Iterator[JSON]:
        """Iterate over transactions, newest first; filters are charger_id, id_tag, status, started_after …"""
        return self.pages("transactions/", **filters)

    def pages(self, path: str, **filters: Any) -> Iterator[JSON]:
        """Iterate over the rows of a list, page by page."""
        filters, more = {"page_size": 500} | filters, True
        while more:
            answer = self.get(path, **filters)
            yield from answer[LIST_MEMBERS.get(path, "results")]
            more = answer["next"]
            filters |= dict(parse_qsl(urlsplit(more or "").query))

    def events(self, after: int | None = None, **filters: Any) -> Iterator[JSON]:
        """Iterate over events without end, from those after the id `after` on; reconnects when the stream ends.

        An event may be repeated; compare its `id`.
        """
        pauses = _pauses()
        while True:
            try:
                for last, event in self._stream(after, filters):
                    after, pauses = last, _pauses()
                    if event:
                        yield event
                time.sleep(FIRST_PAUSE)
            except (Unreachable, Refused) as error:
                time.sleep(_pause_after(error, pauses))

    def get(self, path: str, **query: Any) -> JSON:
        return self._read(self._request("GET", path, params=query, timeout=self._timeout + query.get("wait", 0)))

    def post(self, path: str, body: JSON | None = None) -> JSON:
        return self._read(self._request("POST", path, json=body or {}, timeout=self._timeout))

    def _stream(self, after: int | None, filters: JSON) -> Iterator[tuple[int | None, JSON]]:
        """(id to continue from, event) of the stream; the event is {} at its beginning."""
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": str(after)})
        options = {"headers": headers, "timeout": (self._timeout, STREAM_TIMEOUT_S), "stream": True}
        with self._request("GET", "events/stream/", params=filters, **options) as answer:
            event: JSON = {}
            try:
                for line in answer.iter_lines(chunk_size=None):  # type: ignore[call-overload]
                    if line.startswith(b"id: "):
                        after = int(line[4:])
                    elif line.startswith(b"data: "):
                        event = json.loads(line[6:])
                    elif not line:  # because an id counts only with its whole event
                        yield after, event
                        event = {}
            except requests.RequestException as error:
                raise Unreachable(f"The stream ended: {type(error).__name__}") from None

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:  # without redirects, because they would turn a POST into a GET
            answer = self._session.request(method, self._base + path, allow_redirects=False, **options)
        except requests.RequestException as error:  # without its text, which may hold the request
            raise Unreachable(f"{method} {path}: {type(error).__name__}") from None
        if answer.is_redirect:
            raise Unreachable(
                f"{method} {path}: the server redirects. Check whether the URL must begin with https://."
            )
        if answer.status_code >= 400:
            raise _refused(answer)
        return answer

    def _read(self, answer: requests.Response) -> JSON:
        if (content := _object(answer)) is None:
            raise Unreachable(f"{answer.status_code}: not an answer of this API. Check the URL.")
        return content


def _object(answer: requests.Response) -> JSON | None:
    try:
        content = answer.json()
    except ValueError:  # an answer of a proxy in between
        return None
    return content if isinstance(content, dict) else None


def _refused(answer: requests.Response) -> Refused:
    content, after = _object(answer) or {}, answer.headers.get("Retry-After", "")
    waits = float(after) if after.isdecimal() else None
    return Refused(answer.status_code, content.get("error") or answer.reason, content.get("fields", {}), waits)


def _outcome(task: JSON) -> Outcome:
    shared = ("task_id", "charger_id", "action", "outcome", "response", "simulated_response", "error")
    return Outcome(**{name: task[name] for name in shared}, is_simulated=task["simulated"], task=task)


def _pauses() -> Iterator[float]:
    return (min(FIRST_PAUSE * 2 ** min(n, 10), LONGEST_PAUSE) for n in count())


def _pause_after(error: Error, pauses: Iterator[float]) -> float:
    """Seconds until the next attempt; raises `error` if another attempt cannot help."""
    if isinstance(error, Refused) and error.status not in RETRIED_STATUSES:
        raise error
    return getattr(error, "retry_after", None) or next(pauses)
