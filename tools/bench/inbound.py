"""What chargers say: sessions in a closed loop and at a fixed rate, a storm of connections, an idle fleet."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tools.bench import servers

ROWS = "SELECT (SELECT count(*) FROM transactions_metervalue), (SELECT count(*) FROM transactions_transaction)"
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
SAMPLES = 5
VERSIONS = {"ours": "1.6", "OCPP 2.0.1": "2.0.1"}
runs, orders = itertools.count(1), itertools.cycle([list(VERSIONS), [*reversed(VERSIONS)]])


class Broken(Exception):
    """What was acknowledged is not what is stored, or chargers were turned away: no figure is worth anything then."""


def closed(product, rpc, seconds):
    """{who: rate, CPU and WAL} of one round, each of 200 chargers and one process, and two processes against one.

    The two versions are measured in alternate order, because each load finds a larger database than the one before.
    """
    figures = {}
    with servers.reference(product.run_dir) as (child, url):
        figures["reference"] = _rate(servers.load("closed", url, [child], seconds=seconds))
    if rpc:
        with servers.ocpp_rpc(product.run_dir) as (child, url):
            figures["ocpp-rpc"] = _rate(servers.load("closed", url, [child], seconds=seconds))
    with product.web(1):
        for who in next(orders):
            figures[who] = _watched(product, seconds=seconds, ocpp=VERSIONS[who])
        figures["one process"] = _watched(product, chargers=800, seconds=seconds)
    with product.web(2):
        figures["two processes"] = _watched(product, chargers=800, seconds=seconds)
    return figures


def _watched(product, kind="closed", **options):
    """A load, with the CPU of the web processes and of PostgreSQL."""
    parts = [child for child in product.children if child.name != "Redis"]
    return complete(product, kind, watched=parts, **options)


def fixed(product, rates, seconds):
    """{rate: latencies} of one process at fixed rates, counted from when a message was due."""
    with product.web(1):
        return {rate: complete(product, "fixed", rate=rate, seconds=seconds) for rate in rates}


def minutely(product, chargers, seconds):
    """Measure a fleet whose chargers send a reading a minute: {"cores": shares, "size": bytes of the web process}."""
    with product.web(1) as children:
        result = _watched(product, "minutely", chargers=chargers, rate=chargers / 60, seconds=seconds, warmup=0)
        return {"cores": result["cores"], "size": servers.memory(next(iter(children)).process.pid)}


def storm(product, chargers):
    """{who: seconds} until the last of `chargers`, which connect and boot at once, is accepted; with the faults."""
    figures = {}
    with servers.reference(product.run_dir) as (_, url):
        figures["reference"] = servers.load("storm", url, chargers=chargers)
    with product.web(1):
        # Known chargers, as after a power cut: the first connection has registered them.
        _known(product, "storm", chargers)
        figures["ours"] = servers.load("storm", product.chargers_url, chargers=chargers, prefix="storm")
    return figures


def idle(product, chargers):
    """{who: bytes a connection} of `chargers` that are connected and silent."""
    figures = {}
    with servers.reference(product.run_dir) as (child, url):
        figures["reference"] = _each(lambda: servers.memory(child.process.pid), url, chargers)
    with product.web(1) as children:
        pid = next(iter(children)).process.pid
        with servers.fleet(product.chargers_url, chargers=100, prefix="warm"):
            pass  # what the first connections load once is no cost of a connection
        figures["ours"] = _each(lambda: servers.memory(pid), product.chargers_url, chargers)
    return figures


def standstill(product, chargers, seconds):
    """Stop the database for `seconds` under load; return the sizes of the web process, and check the stored rows."""
    database = next(child for child in product.children if child.name == "PostgreSQL")
    with product.web(1) as children, ThreadPoolExecutor(1) as pool:
        pid = next(iter(children)).process.pid
        options = {"chargers": chargers, "prefix": "still", "warmup": 0, "seconds": seconds + 20}
        running = pool.submit(complete, product, "closed", **options)
        time.sleep(8)
        before, sizes, stopped = servers.memory(pid), [], time.monotonic()
        database.stop()
        while time.monotonic() - stopped < seconds:
            sizes.append(servers.memory(pid))
            time.sleep(0.5)
        database.start()
        database.wait_until(lambda: _answers(product))
        up = time.monotonic()
        stored = product.sql(ROWS)[0]
        while product.sql(ROWS)[0] == stored:
            time.sleep(0.05)
        resumed = time.monotonic() - up
        result = running.result()
    return {"before": before, "most": max(sizes), "resumed": resumed, "answered": result["answered"]}


def _answers(product):
    try:
        return bool(product.sql("SELECT 1"))
    except psycopg.Error:
        return False


def _each(measure, url, chargers):
    before = measure()
    with servers.fleet(url, chargers=chargers, prefix="idle"):
        time.sleep(2)
        return (measure() - before) / chargers


def _known(product, prefix, chargers):
    texts = [
        *("description", "authorization_key_hash", "vendor", "model", "serial_number", "charge_box_serial_number"),
        *("firmware_version", "iccid", "imsi", "meter_type", "meter_serial_number", "firmware_status"),
        *("diagnostics_status", "last_call_id", "last_call_digest", "last_answer"),
    ]
    product.sql(
        f"INSERT INTO chargers_charger (identity, {', '.join(texts)}, local_list_version, created_at, "
        f"read_configuration_after_boot) SELECT %s || n, {', '.join(['%s'] * len(texts))}, 0, now(), false "
        "FROM generate_series(0, %s) n ON CONFLICT DO NOTHING",
        [prefix, *[""] * len(texts), chargers - 1],
    )


def complete(product, kind, **options):
    """Run the load, of chargers of its own, and see that exactly what was acknowledged is stored."""
    options.setdefault("prefix", f"b{next(runs)}-")
    readings, sessions = product.sql(ROWS)[0]
    began = product.sql(WAL)[0][0]
    result = servers.load(kind, product.chargers_url, **options)
    written = product.sql(WAL)[0][0] - began
    stored = product.sql(ROWS)[0]
    wanted = _wanted(result["messages"], readings, sessions, options.get("ocpp", "1.6"))
    if stored != wanted or result["faults"] or result["unanswered"]:
        raise Broken(
            f"stored {stored}, acknowledged {wanted}; {result['unanswered']} unanswered, {result['first_faults']}"
        )
    return _rate(result) | {"wal": written / sum(result["messages"].values())}


def _wanted(messages, readings, sessions, ocpp):
    """Return the numbers of meter values and of sessions after `messages`; one of 2.0.1 has two more samples."""
    if ocpp == "1.6":
        return readings + SAMPLES * messages["MeterValues"], sessions + messages["StartTransaction"]
    begun, ended = messages.get("Started", 0), messages.get("Ended", 0)
    return readings + SAMPLES * messages.get("Updated", 0) + begun + ended, sessions + begun


def _rate(result):
    if result["faults"]:
        raise Broken(str(result["first_faults"]))
    return result | {"rate": result["answered"] / result["seconds"]}
