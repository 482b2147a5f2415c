"""Faults of servers are distinguished by the errors that their clients raise."""

import psycopg
import pytest
from django.db import DataError, IntegrityError, InternalError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from psycopg.errors import lookup
from redis import exceptions as redis

from core.observability import diagnosis


def raised_from(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("sqlstate", "fault"),
    [
        *(("08006", "away"), ("25006", "read_only"), ("28P01", "login_refused"), ("3D000", "login_refused")),
        *(("53100", "full"), ("53200", "out_of_memory"), ("53300", "no_connections"), ("53400", "failing")),
        *(("55P03", "locked"), ("57014", "hanging"), ("57P03", "starting"), ("58030", "failing")),
        *(("40P01", "ended"), ("23505", None), ("42P01", None)),
    ],
)
def test_a_fault_of_postgresql_is_known_by_its_sqlstate(sqlstate, fault):
    error = lookup(sqlstate)("said in any language")
    assert diagnosis.of_database(error) == fault
    assert diagnosis.of_database(raised_from(InternalError("wrapped"), error)) == fault
    assert fault is None or fault in diagnosis.DATABASE


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("connection failed: FATAL:  sorry, too many clients already", "no_connections"),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "no_connections"),
        ("FATAL:  the database system is starting up", "starting"),
        ("FATAL:  the database system is in recovery mode", "starting"),
        ('FATAL:  password authentication failed for user "x"', "login_refused"),
        ('FATAL:  database "x" does not exist', "login_refused"),
        ("connection timeout expired", "hanging"),
        ("connection failed: Connection refused", "away"),
    ],
)
def test_a_fault_while_connecting_is_known_by_its_words(said, fault):
    assert diagnosis.of_database(psycopg.OperationalError(said)) == fault
    assert diagnosis.of_database(OperationalError(said)) == fault


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "out_of_memory"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "disk_error"),
        (redis.ResponseError("NOREPLICAS Not enough good replicas to write."), "no_replicas"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "read_only"),
        (redis.BusyLoadingError("Redis is loading the dataset in memory"), "starting"),
        (redis.AuthenticationError("invalid username-password pair"), "login_refused"),
        (redis.NoPermissionError("this user has no permissions"), "login_refused"),
        (redis.ConnectionError("max number of clients reached"), "no_connections"),
        (redis.TimeoutError("Timeout reading from socket"), "hanging"),
        (redis.ConnectionError("Connection refused"), "away"),
        (redis.ResponseError("ERR something new"), "failing"),
        (raised_from(BrokerError("wrapped"), redis.OutOfMemoryError("…")), "out_of_memory"),
        (BrokerError("Connection refused"), "away"),
        (TimeoutError(), "hanging"),
    ],
)
def test_a_fault_of_redis_or_the_broker_is_known(error, fault):
    assert diagnosis.of_redis(error) == fault
    assert fault in diagnosis.REDIS


@pytest.mark.parametrize("error", [ValueError("x"), DataError("x"), IntegrityError("x"), lookup("22003")("x")])
def test_another_error_is_no_fault_of_a_server(error):
    assert diagnosis.in_words(error) is None


def test_every_fault_is_a_sentence_and_what_to_do():
    for table in (diagnosis.DATABASE, diagnosis.REDIS):
        for fault in table.values():
            words = {"server": "It", "variable": "X"}
            assert fault.wrong.format(**words).endswith(".")
            assert fault.what_to_do.format(**words).endswith(".")
