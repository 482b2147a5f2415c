"""Record the output of /readyz, /metrics and the log during a fault."""

import json
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

ANSWER_TIMEOUT_S = 15
MOST_LINES = 4  # different lines of the log that are shown
LONGEST_LINE = 150
LOGS = ("web*.log", "worker*.log")
LINE = re.compile(rb"^\S+ \S+ (WARNING|ERROR|CRITICAL) (\S+): (.*)$", re.MULTILINE)
VARIES = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"|0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]+|chaos-\S+|crowd-\S+|\d[\d.,:-]*")
# Counters whose rise indicates a fault, by a part of their names; gauges by the extreme that is reported.
RISES = re.compile(r"fail|refused|unpublished|dropped|late_|held|exceeded|taken_up")
HIGHEST = re.compile(r"batch_writer_waiting|oldest|set_aside|dependency_fault|queue_depth")
LOWEST = re.compile(r"^ocpp_up$")


class Operator:
    """Requests /readyz every second and /metrics every two, from threads of its own; reads the log on request."""

    def __init__(self, url, logs):
        self.url, self.logs, self.over = url, logs, False
        self.ready = []  # (when, status, {what})
        self.metrics = []  # (when, {(name, labels): value}), None while nobody tells

    def start(self):
        for look, pause in ((self._look_at_readiness, 1), (self._look_at_metrics, 2)):
            threading.Thread(target=self._go_on, args=(look, pause), daemon=True).start()
        return self

    def _go_on(self, look, pause):
        while not self.over:
            look()
            time.sleep(pause)

    def _look_at_readiness(self):
        asked = time.monotonic()
        status, body = self._get("/readyz")
        self.ready.append((asked, status, _wrong(body)))

    def _look_at_metrics(self):
        asked = time.monotonic()
        status, body = self._get("/metrics")
        self.metrics.append((asked, _samples(body) if status == 200 else None))

    def _get(self, path):
        """(status, text); (None, why) while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=ANSWER_TIMEOUT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return None, type(error).__name__

    # --- of one fault ------------------------------------------------------------------------

    def begin(self):
        """Start recording for the next fault."""
        del self.ready[:-2], self.metrics[:-2]
        self.read_from = {path: path.stat().st_size for path in self._files()}

    def report(self, began):
        """{"readyz": …, "metrics": …, "log": …}: sentences on what was shown since `began` (of `time.monotonic`)."""
        return {"readyz": self._readiness(began), "metrics": self._figures(began), "log": self._lines()}

    def has_looked_since(self, moment):
        """Whether both were requested, and answered or not, later than `moment`."""
        return all(looks and looks[-1][0] > moment for looks in (self.ready, self.metrics))

    def _readiness(self, began):
        usual = next((what for when, _, what in reversed(self.ready) if when < began), set())
        shown, before = [], None
        for when, status, what in self.ready:
            if when < began:
                continue
            state = ", ".join(filter(None, [str(status or "no answer"), *sorted(what - usual)]))
            if state != before:
                shown.append(f"{state} from {when - began:.0f} s on" if shown else state)
            before = state
        return "; ".join(shown[:6]) + (f"; {len(shown) - 6} more changes" if len(shown) > 6 else "")

    def _figures(self, began):
        seen = [figures for when, figures in self.metrics if when >= began and figures]
        before = next((figures for when, figures in reversed(self.metrics) if when < began and figures), {})
        rises, highest, lowest = Counter(), {}, {}
        for name, labels in {key for figures in seen for key in figures}:
            values = [figures[name, labels] for figures in seen if (name, labels) in figures]
            title = _title(name, labels)
            former = before.get((name, labels), 0)
            if name.endswith("_total") and RISES.search(name):
                rises[title] += max(0, max(values) - former)
            elif HIGHEST.search(name) and max(values) > former:
                highest[title] = max(max(values), highest.get(title, 0))
            elif LOWEST.search(name) and min(values) < former:
                lowest[title] = min(values)
        reported = [f"{title} +{rise:g}" for title, rise in sorted(rises.items()) if rise]
        reported += [f"{title} up to {value:g}" for title, value in sorted(highest.items())]
        reported += [f"{title} down to {value:g}" for title, value in sorted(lowest.items())]
        silent = sum(figures is None for when, figures in self.metrics if when >= began)
        return ", ".join(reported + [f"no answer {silent} times"] * bool(silent)) or "nothing"

    def _lines(self):
        found = Counter()
        for path in self._files():
            with path.open("rb") as log:
                log.seek(self.read_from.get(path, 0))
                found.update(_without_variables(*match) for match in LINE.findall(log.read()))
        shown = [f"{times} × `{line}`" for line, times in found.most_common(MOST_LINES)]
        more = f"{len(found) - MOST_LINES} other lines"
        return "; ".join(shown + [more] * (len(found) > MOST_LINES)) or "nothing"

    def _files(self):
        return [path for pattern in LOGS for path in sorted(self.logs.glob(pattern))]


def _wrong(body):
    """What /readyz says is wrong, as a set of texts."""
    try:
        reported = json.loads(body)
    except ValueError:
        return {body[:40]} if body else set()
    faults = {f"{part} ({fault})" for part, fault in reported.get("faults", {}).items()}
    return faults | {f"warning of {warning['part']}" for warning in reported.get("warnings", [])}


def _samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def _title(name, labels):
    """Without the process: figures of all are taken together."""
    kept = ", ".join(value for label, value in labels if label != "process")
    return f"`{name}`" + (f" {kept}" if kept else "")


def _without_variables(level, logger, message):
    said = VARIES.sub("…", message.decode(errors="replace")).replace("`", "'").replace("|", "/")
    shortened = said if len(said) <= LONGEST_LINE else f"{said[: LONGEST_LINE - 1]}…"
    return f"{level.decode()} {logger.decode()}: {shortened}"
