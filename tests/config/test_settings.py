"""Settings: an invalid variable is named, and insecure settings are refused on a server."""

import os
import shlex
import subprocess
import sys

import pytest

from config import redis_url
from tests.support.settings import load_settings
from tools.stack.stack import PROJECT

FERNET_KEY = "dGhpcnR5LXR3by1ieXRlcy0wMTIzNDU2Nzg5YWJjZGU="


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("DEBUG", "perhaps"),
        ("OCPP_COMMAND_TIMEOUT", "-1"),
        ("OCPP_UNKNOWN_CHARGERS", "maybe"),
        ("OCPP_MESSAGE_LOG", "loud"),
        ("API_AUTH", "off"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "amqp://localhost"),
        ("REDIS_URL", "sentinel://localhost:26379"),
        ("REDIS_URL", "sentinel://localhost:26379/master?bd=1"),
        ("BROKER_URL", "kafka://localhost"),
        ("SECRET_KEY", ""),
        ("SECRETS_KEYS", "short"),
        ("SECRETS_KEYS", f"{FERNET_KEY},{FERNET_KEY[:-4]}"),
        ("SECRETS_KEYS", f"{FERNET_KEY},none"),
        ("OCPP_OPEN_NETWORKS", "here"),
        ("FORWARDED_ALLOW_IPS", "proxy"),
        ("OCPP_REFUSALS_PER_MINUTE", "-1"),
        ("API_COMMANDS_PER_MINUTE", "many"),
        ("LOGIN_FAILURES", "0"),
        ("TIME_ZONE_DISPLAY", "Berlin"),
        ("TIME_ZONE_DISPLAY", "europe/berlin"),
        ("TIME_ZONE_DISPLAY", "../etc/passwd"),
        ("PORT", "80000"),
        ("ISO15118_PROVIDER_URL", "provider"),
        ("OCPP_CERTIFICATE_RENEWAL_DAYS", "soon"),
        ("URL_PREFIX", "csms"),
        ("URL_PREFIX", "/cs ms"),
        ("URL_PREFIX", "/api"),
    ],
)
def test_an_invalid_variable_is_named(name, value):
    code, error = load_settings(**{name: value})
    assert code != 0
    assert name in error
    assert "ImproperlyConfigured" in error


@pytest.mark.parametrize("environment", [{"DEBUG": "0"}, {"DEBUG": "1", "HOST": "0.0.0.0"}])
def test_an_open_api_needs_debug_and_loopback(environment):
    code, error = load_settings(API_AUTH="none", **environment)
    assert code != 0
    assert "API_AUTH=none" in error


@pytest.mark.parametrize(
    "environment",
    [
        {"SECRET_KEY": "changeme"},
        {"SECRET_KEY": "x" * 50},
        {"SECRET_KEY": "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz"},
        {"SECRETS_KEYS": "A" * 43 + "="},
        {"API_AUTH": "none"},
        {"OCPP_UNKNOWN_CHARGERS": "accept"},
        {"OCPP_OPEN_NETWORKS": "0.0.0.0/0"},
        {"OCPP_OPEN_NETWORKS": "10.0.0.0/8,::/0"},
        {"FORWARDED_ALLOW_IPS": "0.0.0.0/0"},
        {"FORWARDED_ALLOW_IPS": "*"},
        {"FORWARDED_ALLOW_IPS": "*", "TLS_CLIENT_CERTIFICATE_HEADER": "Client-Cert"},
        {"DEBUG": "1", "HOST": "0.0.0.0"},
        {"DEBUG": "1", "HOST": "192.168.1.5"},
    ],
)
def test_a_server_with_insecure_settings_does_not_start(environment):
    code, error = load_settings(**environment)
    assert code != 0
    assert list(environment)[-1] in error


def test_a_server_with_secure_settings_starts():
    assert load_settings(OCPP_OPEN_NETWORKS="10.8.0.0/16", FORWARDED_ALLOW_IPS="10.0.0.1") == (0, "")


def test_several_keys_or_none_are_valid():
    assert (
        load_settings(SECRETS_KEYS=f"{FERNET_KEY}, {FERNET_KEY[::-1][1:]}=")
        == load_settings(SECRETS_KEYS="none")
        == (0, "")
    )


def test_an_invalid_key_is_reported_with_the_command_that_generates_one():
    error = load_settings(SECRETS_KEYS="short")[1]
    command = shlex.split(error.partition("A new key: `")[2].partition("`")[0])
    made = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True, check=True).stdout.strip()
    assert load_settings(SECRETS_KEYS=made) == (0, "")


def test_without_a_key_one_is_derived_and_the_deploy_check_warns():
    env = os.environ | {"SECRETS_KEYS": ""}
    code = "import django; django.setup(); from django.conf import settings as s; print(*s.SECRETS_KEYS)"
    derived_keys = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            env=env | {"SECRET_KEY": key, "DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for key in ("one-0123456789-abcdefghijklmnop", "two-0123456789-abcdefghijklmnop")
    ]
    assert len(set(derived_keys)) == 2
    deploy = [sys.executable, "manage.py", "check", "--deploy"]
    done = subprocess.run(deploy, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert "ocpp.W001" in done.stderr


@pytest.mark.parametrize("program", [["config.serve"], ["celery", "-A", "config", "worker", "-P", "solo"]])
def test_a_program_that_sends_secrets_does_not_start_without_keys(program):
    env = os.environ | {"SECRETS_KEYS": "none", "BROKER_URL": ""}  # because Celery reads BROKER_URL itself
    start = [sys.executable, "-m", *program]
    done = subprocess.run(start, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "SECRETS_KEYS is `none` here" in done.stderr


def test_an_unknown_time_zone_is_refused_with_examples():
    assert load_settings(TIME_ZONE_DISPLAY="America/Denver") == load_settings(TIME_ZONE_DISPLAY="") == (0, "")
    assert "'Berlin', which is no time zone. Use" in load_settings(TIME_ZONE_DISPLAY="Berlin")[1]


def test_an_open_api_for_local_development():
    assert load_settings(API_AUTH="none", DEBUG="1", HOST="127.0.0.1")[0] == 0


def test_sentinels_in_one_url():
    known = redis_url.sentinels("sentinel://u:p%40ss@h1,[::1]:5/main?db=2&sentinel_password=s")
    assert known.nodes == (("h1", 26379), ("::1", 5))
    assert known.master == "main"
    assert known.options == {"db": 2, "username": "u", "password": "p@ss"}
    assert known.sentinel_options["password"] == "s"
    assert known.broker_url == "sentinel://u:p%40ss@h1:26379/2;sentinel://u:p%40ss@[::1]:5/2"
    assert redis_url.sentinels("redis://h1/0") is None
