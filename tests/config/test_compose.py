"""The container files: plain, complete, and without a secret."""

import os
import shutil
import subprocess

import pytest
import yaml

from config.stack.stack import PROJECT

SECRETS = {"SECRET_KEY": "s", "POSTGRES_PASSWORD": "p", "FLOWER_BASIC_AUTH": "u:p"}


def composed():
    return yaml.safe_load((PROJECT / "docker-compose.yml").read_text())


def compose_command():
    """`docker compose` or the older `docker-compose`, whichever is installed."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    return None


def config(**environment):
    return subprocess.run(
        [*compose_command(), "config"], cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True
    )


def test_every_service_says_whether_it_is_healthy():
    services = composed()["services"]
    assert set(services) == {"migrate", "web", "worker", "flower", "postgres", "redis"}
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")


def test_no_secret_is_baked_in():
    text = (PROJECT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"{name}:?" in text
    assert "USER ocpp" in (PROJECT / "Dockerfile").read_text()


def test_compose_accepts_the_file_and_wants_its_secrets():
    if compose_command() is None:
        pytest.skip("docker compose is not installed here")
    assert config(**SECRETS).returncode == 0
    refused = config(**{name: "" for name in SECRETS})
    assert refused.returncode != 0 and "SECRET_KEY" in refused.stderr
