"""A database that is there, and does not do everything that is requested."""

import asyncio
import contextlib
import random
import time

import psycopg

from tools.chaos.disk import Tmpfs
from tools.chaos.scenarios.skipping import Skipped

LOCKED, READ_ONLY, FULL, READ = 20, 15, 15, 20  # seconds
METRICS_DELAY_S = 10  # seconds until the metrics show the preparation
HELD = 3  # seconds for which commits are held
MIGRATED = 60  # seconds within which a migration must have begun, and have ended after what it waited for
MAX_LOCK_WAIT_S = 3.0  # a migration may wait this long for its table at a time, and chargers wait behind it
MIGRATING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE chargers_charger%'"


# --- sessions of others --------------------------------------------------------------------


@contextlib.contextmanager
def session(chaos):
    """A transaction of somebody else, which the server does not end because it stands still."""
    with psycopg.connect(chaos.stack.env["DATABASE_URL"]) as other:
        other.execute("SET idle_in_transaction_session_timeout = 0")
        yield other
        other.rollback()


async def row_locked(chaos):
    """Another session holds the row of one charger; the others must not wait for it."""
    locked = random.choice(chaos.steady)
    chaos.strike([locked])
    seconds = chaos.sizes["stopped"](LOCKED)
    with session(chaos) as other:
        await asyncio.to_thread(
            other.execute, "SELECT FROM chargers_charger WHERE identity = %s FOR UPDATE", [locked.identity]
        )
        await asyncio.sleep(seconds)
        waited = time.monotonic() - locked.asked if locked.waiting else 0.0
        chaos.note("the locked charger has waited for (s)", round(waited, 1))
        chaos.must_be_none("locked chargers that were answered all the same", int(not waited))
        chaos.others_must_go_on()


async def migration_beside_reader(chaos):
    """A migration needs `chargers_charger` for itself alone, and a report reads that table for long."""
    with session(chaos) as reader:
        await asyncio.to_thread(reader.execute, "SELECT count(*) FROM chargers_charger")
        migration = chaos.stack.begin_manage("migrate", "migrated", "--noinput", settings="tools.chaos.settings")
        await chaos.until(lambda: chaos.stack.sql(MIGRATING)[0][0] or migration.poll() is not None, MIGRATED)
        chaos.fault_begins()
        await asyncio.sleep(chaos.sizes["stopped"](READ))
        chaos.note("migrations that ended before the reader", int(migration.poll() is not None))
        chaos.others_must_go_on(MAX_LOCK_WAIT_S)
    ended = await chaos.until(lambda: migration.poll() is not None, MIGRATED)
    said = (migration.communicate()[0] if ended else "").strip().splitlines()[-1:]
    chaos.must_be_none("migrations that did not succeed", int(not ended or migration.returncode != 0))
    chaos.note("the migration's last line:", *said or ["none"])
    if not ended:
        migration.kill()
    undo = chaos.stack.begin_manage("migrate", "migrated", "zero", settings="tools.chaos.settings")
    await asyncio.to_thread(undo.communicate)


# --- settings of the server ----------------------------------------------------------------


@contextlib.contextmanager
def setting(chaos, name, value):
    """PostgreSQL's `name` is `value` for new and old sessions alike; not for this one, which takes it back."""
    with psycopg.connect(chaos.stack.env["DATABASE_URL"], autocommit=True) as admin:
        admin.execute("SET default_transaction_read_only = off")
        admin.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        admin.execute("SELECT pg_reload_conf()")
        try:
            yield admin
        finally:
            admin.execute(f"ALTER SYSTEM RESET {name}")
            admin.execute("SELECT pg_reload_conf()")


async def read_only(chaos):
    """As a failover leaves a database for a while; nothing may be answered with an error."""
    with setting(chaos, "default_transaction_read_only", "on"):
        await asyncio.sleep(chaos.sizes["stopped"](READ_ONLY))
        chaos.note("chargers that wait", chaos.fleet.unanswered)


async def commits_held(chaos):
    """Commits wait for a standby that does not exist, though they are on the disk: no answer tells of them.

    Half of the chargers time out: they connect to another web process and send other messages before they repeat the
    one without an answer. The last hold ends the waiting sessions, so the product does not learn of the commit.
    """
    impatient = random.sample(chaos.steady, len(chaos.steady) // 2)
    chaos.strike(impatient)
    async with chaos.stack.another_web() as url:
        chaos.fault_begins()
        for number in range(1, chaos.sizes["holds"] + 1):
            with setting(chaos, "synchronous_standby_names", "nobody") as admin:
                await asyncio.sleep(1)
                for charger in impatient:
                    charger.url = url if number % 2 else chaos.fleet.url
                    charger.talk_first()
                    charger.drop()
                await asyncio.sleep(HELD - 1)
                if number == chaos.sizes["holds"]:
                    ended = admin.execute(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
                    ).fetchone()
                    chaos.note("sessions ended with their commit on the disk", ended[0])
            await asyncio.sleep(HELD)
        chaos.note("messages said again after others", sum(charger.said_again for charger in impatient))
        for charger in impatient:
            charger.url, charger.said_again = chaos.fleet.url, 0


# --- the disk ------------------------------------------------------------------------------


async def disk_full(chaos):
    """The tables are on a small disk of their own, the log is not: a full disk of that makes PostgreSQL end."""
    if not Tmpfs.is_allowed():
        raise Skipped("It needs a file system of its own, and so root's right to mount one.")
    disk = await asyncio.to_thread(chaos.stack.tables_on_small_disk)
    await asyncio.sleep(METRICS_DELAY_S)
    chaos.fault_begins()
    await asyncio.to_thread(disk.fill)
    try:
        await asyncio.sleep(chaos.sizes["stopped"](FULL))
        chaos.note("chargers that wait", chaos.fleet.unanswered)
    finally:
        await asyncio.to_thread(disk.free)


SCENARIOS = {
    "a locked row": row_locked,
    "a read-only database": read_only,
    "the disk full": disk_full,
    "commits held, chargers reconnect": commits_held,
    "a migration beside a long reader": migration_beside_reader,
}
