"""Faults of Redis and of the message broker, which may be RabbitMQ, by the errors that their clients raise."""

from collections.abc import Iterator
from contextlib import contextmanager

from amqp.exceptions import AMQPError
from kombu.exceptions import OperationalError as BrokerError
from redis import exceptions as redis
from redis.exceptions import RedisError

AWAY, HANGING, STARTING, LOGIN_REFUSED = "away", "hanging", "starting", "login_refused"
READ_ONLY, NO_CONNECTIONS, OUT_OF_MEMORY = "read_only", "no_connections", "out_of_memory"
DISK_ERROR, NO_REPLICAS, FAILING = "disk_error", "no_replicas", "failing"

# kombu wraps transient errors in the first; a refusal by RabbitMQ (password, virtual host) is not wrapped.
BROKER_FAULTS = (BrokerError, AMQPError, RedisError)
BY_CLASS = (
    (redis.OutOfMemoryError, OUT_OF_MEMORY),
    (redis.ReadOnlyError, READ_ONLY),
    (redis.BusyLoadingError, STARTING),
    (redis.AuthenticationError, LOGIN_REFUSED),
    (redis.AuthorizationError, LOGIN_REFUSED),
    (redis.NoPermissionError, LOGIN_REFUSED),
    (redis.AuthenticationWrongNumberOfArgsError, LOGIN_REFUSED),
    (redis.TimeoutError, HANGING),
)
# redis-py has no class for these.
BY_WORDS = (
    ("MISCONF", DISK_ERROR),
    ("NOREPLICAS", NO_REPLICAS),
    ("max number of clients", NO_CONNECTIONS),
    ("OOM command not allowed", OUT_OF_MEMORY),  # within a script of an old server
)
REFUSALS_OF_RABBITMQ = (403, 530)  # reply codes: wrong password, unknown virtual host


@contextmanager
def sockets_are_the_broker() -> Iterator[None]:
    """Raise `BrokerError` for an `OSError`, because kombu does not wrap all errors of its sockets."""
    try:
        yield
    except OSError as error:
        raise BrokerError(str(error)) from error


def fault_of(error: BaseException) -> str | None:
    """Return the fault of Redis or the broker that caused `error`, or None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RedisError):
            return _of_redis(cause)
        cause = cause.__cause__
    if isinstance(error, AMQPError) and getattr(error, "reply_code", None) in REFUSALS_OF_RABBITMQ:
        return LOGIN_REFUSED
    return AWAY if isinstance(error, BROKER_FAULTS) else None


def _of_redis(error: RedisError) -> str:
    by_class = next((fault for kind, fault in BY_CLASS if isinstance(error, kind)), None)
    by_words = by_class or next((fault for words, fault in BY_WORDS if words in str(error)), None)
    return by_words or (AWAY if isinstance(error, redis.ConnectionError) else FAILING)
