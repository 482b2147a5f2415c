"""The samples of /metrics, by process."""

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


def scraped(live):
    """Return {(sample's name, its labels but the process): {process: value}}."""
    body = {}
    with urllib.request.urlopen(f"{live.url}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                process = sample.labels.pop("process", "")
                body.setdefault((sample.name, tuple(sorted(sample.labels.items()))), {})[process] = sample.value
    return body


def value(body, name, before=(), **labels):
    """Return the sum over all processes, or its increase since `before`."""
    key = name, tuple(sorted(labels.items()))
    counted = dict(before).get(key, {})
    return sum(value - counted.get(process, 0) for process, value in body.get(key, {}).items())
