"""Fixtures of many tests, such as `live`, the whole system as processes, which is started once."""

import traceback
from collections import Counter

import pytest
import redis
from django.db import connections
from django.test import TransactionTestCase

from core.redis.connections import async_redis, listening_redis
from tests.support.campaigns import an_image
from tests.support.emptying import empty
from tests.support.field_charger import FieldCharger
from tests.support.live import free_port
from tests.support.products import new_database, product

TransactionTestCase._fixture_teardown = empty


# Files whose tests are few for the time that they take. The longest comes first.
LONG_FILES = [
    *("test_openapi.py", "test_browser.py", "test_budgets.py", "test_stack.py", "test_hostile_clients.py"),
    *("test_reach.py", "test_ten_jobs.py", "test_confirmation.py", "test_readiness.py", "test_backup.py"),
    *("test_browser_sites.py", "test_hostile_frames.py", "test_url_prefix.py", "test_lifecycle.py"),
    *("test_repeated_while_committing.py", "test_presence.py", "test_power_limits.py", "test_secrets.py"),
    *("test_hostile_texts.py", "test_masking.py", "test_bulk_sql.py", "test_batches.py", "test_webhooks.py"),
    *("test_repairable_messages.py", "test_random_histories.py", "test_locked_rows.py", "test_simulator.py"),
    *("test_odd_simulators.py", "test_browser_settings.py", "test_queries.py", "test_sweep.py", "test_migrations.py"),
    *("test_admin.py", "test_browser_201.py", "test_locks.py", "test_client.py", "test_redis_hangs.py"),
    *("test_failover.py", "test_pings.py"),
]


def pytest_collection_modifyitems(items):
    """Refuse tests with equal ids, because pytest-xdist distributes tests by their ids. Put long files first.

    Files are distributed whole, and a long one that comes last would keep one process busy after the others.
    """
    assert len({item.nodeid for item in items}) == len(items), "of two tests with one id, one would not be run"
    tests = Counter(item.path for item in items)
    long = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: (long.get(item.path.name, len(long)), -tests[item.path], item.path))


@pytest.fixture(scope="session")
def live():
    """Web, worker, PostgreSQL and Redis as a user runs them, on a database of their own."""
    settings = {
        "TLS_PORT": str(free_port()),
        "WORKER_CONCURRENCY": "200",
        "LOG_FORMAT": "json",
        "OCPP_REQUIRE_SUBPROTOCOL": "0",  # as in local development
        # Nobody answers there, except for the tests that do.
        "ISO15118_PROVIDER_URL": f"http://127.0.0.1:{free_port()}/",
        # No mail server is there, except in the tests that start one.
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(free_port()),
        # Not that of the browser, nor of REST.
        "TIME_ZONE_DISPLAY": "Europe/Berlin",
    }
    with product("live", settings, flower=True) as live:
        yield live


@pytest.fixture
def charger(live):
    """A connected charger with the validation of the settings, which is lenient."""
    with FieldCharger(live) as charger:
        yield charger


@pytest.fixture
def strict(live):
    """A connected charger with strict validation."""
    with FieldCharger(live, validation="strict") as charger:
        yield charger


@pytest.fixture
def public_url(settings, tmp_path):
    """Let chargers fetch files, and keep those of this test in a folder of its own."""
    settings.PUBLIC_URL, settings.MEDIA_ROOT = "http://charging.example", tmp_path / "files"


@pytest.fixture
def image(public_url):
    """An image of version 2.0."""
    return an_image()


@pytest.fixture
def empty_database():
    """The URL of an empty database."""
    return new_database("ocpp_empty")


@pytest.fixture(autouse=True)
def own_connections():
    """Forget the connections of event loops, which end with the loop of a test."""
    yield
    async_redis.cache_clear()
    listening_redis.cache_clear()


def _under_way():
    """Return whether this thread is in a transaction of the code under test, not only in that around a test."""
    begun = [block for known in connections.all(initialized_only=True) for block in known.atomic_blocks]
    return any(not block._from_testcase for block in begun)


@pytest.fixture(autouse=True)
def redis_after_the_commit(monkeypatch):
    """Fail if Redis is asked within a transaction, because its locks would block chargers while Redis hangs."""
    send, talked = redis.connection.AbstractConnection.send_packed_command, []

    def watched(*arguments, **options):
        if _under_way():
            talked.append("".join(traceback.format_stack(limit=20)))
        return send(*arguments, **options)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", watched)
    yield
    assert not talked, f"Redis was asked within a transaction, which should wait for its commit:\n{talked[0]}"


@pytest.fixture
def api(client, django_user_model):
    """A REST client with the session of a superuser."""
    client.force_login(django_user_model.objects.create_superuser("alice"))
    return client
