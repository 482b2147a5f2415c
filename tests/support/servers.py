"""A pytest plugin, loaded before Django's settings: the given servers for the tests, or servers of their own."""

import atexit
import os
from pathlib import Path

import redis

from tools.stack.servers import Postgres, Redis, private_folder

PROJECT = Path(__file__).resolve().parent.parent.parent
# Each process of pytest-xdist has its own servers, even if it inherits the variables of the first process.
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")
OURS = "SERVERS_OF_TESTS"
RUN_DIR = private_folder(PROJECT / ".run" / "test" / PROCESS)
# Short waits, so that the tests need none; each is what a test counts on.
SETTINGS = {
    "DEBUG": "0",
    "SECRET_KEY": "only-for-tests-0123456789-abcdefghij",
    "SECRETS_KEYS": "b25seS1mb3ItdGVzdHMtMDEyMzQ1Njc4OWFiY2RlZmc=",
    "OCPP_OPEN_NETWORKS": "127.0.0.0/8",
    "SECURE_SSL": "0",
    "ALLOWED_HOSTS": "127.0.0.1,testserver",
    "API_AUTH": "token",
    "OCPP_UNKNOWN_CHARGERS": "reject",
    "OCPP_REQUIRE_SUBPROTOCOL": "1",
    "OCPP_QUEUE_TIMEOUT": "12",
    "OCPP_BOOT_WAIT": "0",
    "WEBHOOK_ALLOW_PRIVATE": "1",
    "OCPP_QUEUE_LIMIT": "4",
    "OCPP_MESSAGES_PER_SECOND": "0",  # tests flood; those of budgets have a stack of their own
    "OCPP_CPO_NAME": "Test CPO",
    "FILES_DIR": str(RUN_DIR / "files"),
}


STARTED = {}  # variable: the child of a server that is ours


def _start_what_is_missing():
    of_the_first = os.environ.get(OURS, "").split() if PROCESS else ()
    for variable, server_class in (("DATABASE_URL", Postgres), ("REDIS_URL", Redis)):
        if not os.environ.get(variable) or variable in of_the_first:
            server = server_class(RUN_DIR)
            child = STARTED[variable] = server.start()
            atexit.register(child.stop)
            os.environ[variable] = server.url()
            if variable == "REDIS_URL":
                redis.Redis.from_url(server.url()).flushall()  # an earlier run has left keys of chargers with our ids
                # The worker of `live` would take what the tests' own process asks for.
                os.environ["BROKER_URL"] = server.url(database=1)
    os.environ[OURS] = " ".join(STARTED)


_start_what_is_missing()
os.environ.update(SETTINGS)
