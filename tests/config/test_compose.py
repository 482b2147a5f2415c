"""The container files: complete, and without secrets."""

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from tools.stack.stack import PROJECT

SELF_SIGNED = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ocpp", "-days", "1"]
SECRETS = {"SECRET_KEY": "s", "SECRETS_KEYS": "k", "POSTGRES_PASSWORD": "p", "REDIS_PASSWORD": "r"}
SECRETS |= {"FLOWER_BASIC_AUTH": "u:p"}


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


def test_every_service_has_a_health_check():
    services = composed()["services"]
    assert set(services) == {"migrate", "proxy", "web", "worker", "beat", "flower", "postgres", "redis"}
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")


def test_the_image_has_every_package():
    packages = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    copied = re.findall(r"^COPY (\w+) \1$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted([*packages, "locale"])


def test_the_image_contains_no_secret():
    text = (PROJECT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"{name}:?" in text
    assert "USER ocpp" in (PROJECT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["SECRET_KEY", "SECRETS_KEYS"])
def test_only_services_that_store_or_send_secrets_have_their_keys(name):
    services = composed()["services"]
    keys = {service: parts.get("environment", {}).get(name, "") for service, parts in services.items()}
    assert {service for service, key in keys.items() if key not in ("", "none")} == {"migrate", "web", "worker"}
    assert keys["beat"] == keys["flower"] == "none"


def test_a_program_without_keys_loads_its_settings():
    env = os.environ | {"SECRET_KEY": "none", "SECRETS_KEYS": "none", "ALLOWED_HOSTS": "x"}
    load = [sys.executable, "-c", "import config.settings"]
    assert not subprocess.run(load, cwd=PROJECT, env=env, check=False).returncode
    done = subprocess.run(load, cwd=PROJECT, env=env | {"SECRETS_KEYS": ""}, capture_output=True, text=True)
    assert "set SECRETS_KEYS=none as well" in done.stderr


def test_web_and_worker_share_the_files():
    services = composed()["services"]
    assert {name for name, parts in services.items() if "files:/files" in parts.get("volumes", [])} == {
        "web",
        "worker",
    }


def test_only_the_proxy_and_flower_can_be_reached_from_outside():
    published = {name: service["ports"] for name, service in composed()["services"].items() if "ports" in service}
    assert set(published) == {"proxy", "flower"}
    assert published["flower"][0].startswith("127.0.0.1:")


def test_plain_http_is_on_loopback_unless_an_address_is_named():
    plain, tls = composed()["services"]["proxy"]["ports"]
    assert plain == "${PROXY_ADDRESS:-127.0.0.1}:${PORT:-8000}:8000"
    assert tls.endswith(":8443")


def test_every_service_has_limits_and_rotates_its_log():
    for name, service in composed()["services"].items():
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"] == {"max-size": "50m", "max-file": "5"}, name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_redis_requires_a_password_and_each_image_can_be_named_by_digest():
    services = composed()["services"]
    assert services["redis"]["command"][-2:] == ["--requirepass", "${REDIS_PASSWORD:-}"]
    assert "${REDIS_PASSWORD:?" in services["web"]["environment"]["REDIS_URL"]
    assert all(services[name]["image"].startswith("${") for name in ("postgres", "redis", "proxy"))


def test_scalable_services_have_no_fixed_name_or_port():
    for name in ("web", "worker"):
        assert not {"container_name", "ports", "hostname"} & composed()["services"][name].keys()


@pytest.mark.parametrize("tls", [[], ["PROXY_TLS"], ["PROXY_TLS", "PROXY_CLIENT_CA"]])
def test_the_proxy_accepts_its_configuration(tmp_path, tls):
    if not shutil.which("haproxy"):
        pytest.skip("haproxy is not installed here")
    environment = os.environ | {"PROXY_MAXCONN": "500"}
    if tls:
        pem = tmp_path / "ocpp.pem"
        made = subprocess.run([*SELF_SIGNED, "-keyout", "-", "-out", "-"], capture_output=True, check=True)
        pem.write_bytes(made.stdout)
        environment |= dict.fromkeys(tls, str(pem))
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(PROJECT / "config" / "haproxy.cfg")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_compose_accepts_the_file_and_requires_its_secrets():
    if compose_command() is None:
        pytest.skip("docker compose is not installed here")
    assert config(**SECRETS).returncode == 0
    refused = config(**{name: "" for name in SECRETS})
    assert refused.returncode != 0
    assert "SECRET_KEY" in refused.stderr


def test_the_programs_run_unprivileged_and_cannot_gain_privileges():
    assert "USER ocpp" in (PROJECT / "Dockerfile").read_text()
    for name in ("migrate", "web", "worker", "beat", "flower"):
        service = composed()["services"][name]
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
