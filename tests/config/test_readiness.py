"""/readyz, /metrics, REST and the pages report it if PostgreSQL, Redis or a disk takes no writes."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest
import redis

from chargers.services import presence
from tests.support.browser import EXECUTABLE, NONE, launch, log_in, playwright
from tests.support.live import Live, an_id, eventually, exchange, free_port
from tests.support.metrics import scraped, value
from tools.stack.stack import Stack

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
RESET = {"action": "Reset", "payload": {"type": "Soft"}}
TMPFS_MIB = 1024


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """(a folder, whether it is a separate disk, which a test may fill)."""
    folder = tmp_path_factory.mktemp("readiness")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MIB}m,mode=755", "none", str(folder)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_mounted = False
    yield folder, is_mounted
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def product(small_disk):
    """The product with its own PostgreSQL and Redis, which a test may break."""
    folder = small_disk[0] / "run"
    settings = {
        "FILES_DIR": str(folder / "files"),
        **{"PORT": str(free_port()), "FLOWER_PORT": str(free_port()), "WEB_CONCURRENCY": "1"},
        **{"DEBUG": "1", "API_AUTH": "none", "OCPP_UNKNOWN_CHARGERS": "accept", "OCPP_QUEUE_LIMIT": "1000"},
    }
    stack = Stack(folder, settings, say=lambda line: None)
    for variable in ("DATABASE_URL", "REDIS_URL", "BROKER_URL"):  # those of the other tests
        stack.env.pop(variable)
    try:
        stack.start(flower=False)
        live = Live(stack, stack.env["DATABASE_URL"])
        live.identity = an_id()
        with live.socket(live.identity) as socket:
            exchange(socket, "1", "Heartbeat", {})
            live.charger_socket = socket
            yield live
    finally:
        stack.stop()


@pytest.fixture(autouse=True)
def works(product):
    """Wait before and after each test until the product is ready, because it must recover by itself."""
    eventually(lambda: readyz(product)[0] == 200, 60)
    yield
    eventually(lambda: readyz(product)[0] == 200, 60)


def readyz(product):
    status, body, _ = product.request("GET", "/readyz")
    return status, body


def submit_reset(product):
    """(status, body) of the answer to a Reset."""
    body = {"charger_id": product.identity, **RESET}
    return product.request("POST", "/api/ocpp/commands/", body)[:2]


def child(product, name):
    return next(child for child in product.stack.children if child.name == name)


# --- faults ----------------------------------------------------------------------------------


def admin(product):
    options = "-c default_transaction_read_only=off"
    return psycopg.connect(product.database_url, autocommit=True, options=options)


@contextmanager
def read_only_database(product):
    with admin(product) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


@contextmanager
def locked(product, what):
    with psycopg.connect(product.database_url) as connection:
        connection.execute(what)
        yield
        connection.rollback()


def locked_heartbeat(product):
    return locked(product, "SELECT FROM dashboard_heartbeat FOR UPDATE")


def locked_table(product):
    return locked(product, "LOCK TABLE transactions_transaction IN SHARE MODE")


@contextmanager
def no_connections(product):
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(psycopg.connect(product.database_url))
        yield


@contextmanager
def stopped(product, name):
    process = child(product, name).process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def ended(product, name):
    child(product, name).stop()
    try:
        yield
    finally:
        child(product, name).start()


@contextmanager
def redis_with(product, **config):
    with redis.Redis.from_url(product.stack.env["REDIS_URL"]) as client:
        before = {name: client.config_get(name)[name] for name in config}
        for name, wanted in config.items():
            client.config_set(name, wanted)
        try:
            yield client
        finally:
            for name, was in before.items():
                client.config_set(name, was)


def redis_out_of_memory(product):
    return redis_with(product, **{"maxmemory": "1mb", "maxmemory-policy": "noeviction"})


def redis_without_replicas(product):
    return redis_with(product, **{"min-replicas-to-write": "1"})


@contextmanager
def redis_a_replica(product):
    with redis.Redis.from_url(product.stack.env["REDIS_URL"]) as client:
        client.replicaof("127.0.0.1", "1")
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


BROKEN = {
    "read-only database": (read_only_database, "database", "read_only", "PostgreSQL is read-only."),
    "no connection": (no_connections, "database", "no_connections", None),
    "locked heartbeat": (locked_heartbeat, "database", "locked", None),
    "locked table": (locked_table, "database", "locked", None),
    "database hangs": (lambda product: stopped(product, "PostgreSQL"), "database", "hanging", None),
    "database away": (
        lambda product: ended(product, "PostgreSQL"),
        "database",
        "away",
        "PostgreSQL can't be reached.",
    ),
    "redis full": (redis_out_of_memory, "redis", "out_of_memory", "Redis is out of memory and takes no writes"),
    "redis read-only": (redis_a_replica, "redis", "read_only", "Redis is a replica, which takes no writes."),
    "redis alone": (redis_without_replicas, "redis", "no_replicas", "Redis takes no writes, since too few"),
    "redis hangs": (lambda product: stopped(product, "Redis"), "redis", "hanging", None),
    "redis away": (
        lambda product: ended(product, "Redis"),
        "redis",
        "away",
        "Redis or the message broker is unavailable.",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_fault_is_reported_by_readyz_metrics_and_rest(product, name):
    break_it, part, fault, refusal = BROKEN[name]
    before = product.rows("SELECT count(*) FROM commands_command")
    with break_it(product):
        body = eventually(lambda: answer if (answer := readyz(product))[0] == 503 else None, 30)[1]
        assert body["faults"] == {part: fault}
        assert body["error"] == f"Not ready: {part}"
        (problem,) = body["problems"]
        assert problem.keys() == {"part", "fault", "wrong", "where", "what_to_do"}
        assert f"{part.upper()}_URL" in problem["where"]
        assert str(product.stack.run_dir) not in str(body)
        metrics = scraped(product)
        assert value(metrics, "ocpp_up", part=part) == 0
        assert value(metrics, "ocpp_dependency_fault", part=part, fault=fault) == 1
        if refusal:
            status, answer = submit_reset(product)
            assert status == 503
            assert answer["error"].startswith(refusal)
    eventually(lambda: readyz(product)[0] == 200, 60)
    assert product.rows("SELECT count(*) FROM commands_command") == before
    assert value(scraped(product), "ocpp_up", part=part) == 1


def test_a_command_waits_for_a_lock_and_is_submitted_whole(product):
    with ThreadPoolExecutor(1) as pool:
        with locked(product, "LOCK TABLE commands_command IN SHARE MODE"):
            submitted = pool.submit(product.ask, product.identity, **RESET)
            eventually(lambda: readyz(product)[1].get("faults") == {"database": "locked"}, 20)
            assert not submitted.done()
        assert submitted.result(30)["task_id"]


def test_chargers_stay_connected_while_redis_is_out_of_memory(product):
    with redis_out_of_memory(product) as client:
        key = presence.key(product.identity)
        assert client.expire(key, presence.TTL_S // 2)
        eventually(lambda: client.ttl(key) > presence.TTL_S // 2, 3 * presence.REFRESH_S)
        assert product.identity in product.get("/api/ocpp/chargers/")["active_chargers"]


def test_a_redis_that_takes_no_writes_shows_no_charger_as_offline(product):
    with redis_a_replica(product):
        status, body, _ = product.request("GET", f"/api/ocpp/status/{product.identity}/")
        assert status == 503
        assert body["error"].startswith("Redis is a replica")


def sessions(product):
    """The number of sessions of the database so far."""
    with admin(product) as connection:
        return connection.execute("SELECT sum(sessions) FROM pg_stat_database").fetchone()[0]


def test_many_simultaneous_requests_share_one_check(product):
    before, began = sessions(product), time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        assert {status for status, _ in pool.map(lambda _: readyz(product), range(400))} == {200}
    checks = time.monotonic() - began + 1
    assert sessions(product) - before < 2 * checks + 10  # other programs connect, too


def test_a_liveness_check_does_not_wait_for_a_hanging_server(product):
    with ThreadPoolExecutor(21) as pool:
        with stopped(product, "PostgreSQL"):
            time.sleep(1.5)  # so that the previous check is not used again
            requests = {pool.submit(readyz, product) for _ in range(20)}
            time.sleep(1)  # each of them waits for PostgreSQL, for three seconds at least
            alive = pool.submit(urllib.request.urlopen, f"{product.url}/healthz", timeout=20)
            first = wait({alive, *requests}, return_when=FIRST_COMPLETED).done
            assert alive in first
            assert alive.result().status == 200
        assert {future.result(60)[0] for future in requests} <= {200, 503}


@contextmanager
def filled(folder, left=0):
    """Fill the disk of `folder` except for `left` bytes."""
    filler = folder / "filler"
    try:
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - max(left, 4 * 2**20))
            while not left:
                file.write(bytes(4096))
        yield
    finally:
        filler.unlink()


@pytest.fixture
def disk(small_disk):
    folder, is_own = small_disk
    if not is_own:
        pytest.skip("no disk may be mounted here")
    return folder


def test_a_full_disk_is_reported(product, disk):
    before = product.rows("SELECT count(*) FROM commands_command")
    with filled(disk):
        full = {"database": "full", "files_disk": "full", "redis": "disk_error"}
        body = eventually(lambda: answer if (answer := readyz(product)[1]).get("faults") == full else None, 30)
        wrong = {problem["part"]: problem["wrong"] for problem in body["problems"]}
        assert wrong["database"] == "The disk of PostgreSQL is full."
        assert "FILES_DIR" in str(body["problems"])
        metrics = scraped(product)
        assert [value(metrics, "ocpp_up", part=part) for part in ("database", "redis")] == [0, 0]
        status, answer, _ = product.request("POST", "/api/ocpp/commands/", {"charger_id": product.identity, **RESET})
        assert status == 503
        assert "disk" in answer["error"]
        assert "away" not in answer["error"]
    eventually(lambda: readyz(product)[0] == 200, 60)
    assert product.rows("SELECT count(*) FROM commands_command") == before


def warned(product):
    """{part: fault} of the warnings of /readyz."""
    return {warning["part"]: warning["fault"] for warning in readyz(product)[1]["warnings"]}


def test_a_disk_that_is_nearly_full_is_a_warning(product, disk):
    with filled(disk, left=100 * 2**20):
        eventually(lambda: warned(product).get("files_disk") == "nearly_full", 20)
        assert readyz(product)[0] == 200
    eventually(lambda: "files_disk" not in warned(product), 20)


def test_a_message_that_is_not_answered_is_a_warning(product):
    with locked(product, f"SELECT FROM chargers_charger WHERE identity = '{product.identity}' FOR UPDATE"):
        product.charger_socket.send(json.dumps([2, "2", "Heartbeat", {}]))
        eventually(lambda: warned(product).get("batch_writer") == "waiting", 30)
    eventually(lambda: json.loads(product.charger_socket.recv(timeout=20))[:2] == [3, "2"], 30)
    eventually(lambda: "batch_writer" not in warned(product), 20)


@pytest.mark.skipif(EXECUTABLE is None, reason=NONE)
def test_the_pages_show_that_redis_is_out_of_memory_until_it_recovers(product):
    with playwright.sync_playwright() as started:
        page = launch(started).new_context(base_url=product.url).new_page()
        log_in(page, product)
        faults = page.locator("#faults")
        playwright.expect(faults).to_be_hidden()
        with redis_out_of_memory(product):
            eventually(lambda: readyz(product)[0] == 503, 20)
            page.goto(f"/chargers/{product.identity}/")
            playwright.expect(faults).to_contain_text("Redis is out of memory")
            playwright.expect(page.locator("#head")).to_contain_text("Last message")
            page.goto(f"/chargers/{product.identity}/submit/ClearCache/")
            page.locator("main").get_by_role("button", name="Send ClearCache").click()
            playwright.expect(page.locator("main")).to_contain_text("Nothing was submitted")
            page.goto("/")
            playwright.expect(faults).to_contain_text("Redis is out of memory")
        eventually(lambda: readyz(product)[0] == 200, 60)
        product.charger_socket.send(json.dumps([2, "3", "StatusNotification", STATUS]))
        playwright.expect(faults).to_be_hidden(timeout=90_000)  # without a reload
