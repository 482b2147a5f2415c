"""Sentinels: when the master ends, the clients continue with the promoted server."""

import subprocess
import sys
import time

import pytest
import redis

from tests.support.live import eventually, free_port
from tools.stack.servers import Redis
from tools.stack.stack import PROJECT

SENTINEL = """
port {port}
sentinel monitor main 127.0.0.1 {master} 1
sentinel down-after-milliseconds main 500
sentinel failover-timeout main 2000
"""
SCRIPT = """
import time, django; django.setup()
from asgiref.sync import async_to_sync
from redis.exceptions import RedisError
from core.redis.connections import async_redis, sync_redis
sync_redis().set("kept", "yes"); sync_redis().wait(1, 2000)
print("ready", flush=True); input()
began = time.monotonic()
while time.monotonic() - began < 30:
    try:
        sync_redis().set("after", "written")
        break
    except RedisError:
        time.sleep(0.2)
async def read():
    return await async_redis().mget("kept", "after")
print(async_to_sync(read)(), flush=True)
"""


@pytest.fixture
def servers(tmp_path):
    """(sentinel's port, process of the master)."""
    binary, running = str(Redis(tmp_path).binary), []
    master, replica, sentinel = free_port(), free_port(), free_port()
    (tmp_path / "sentinel.conf").write_text(SENTINEL.format(port=sentinel, master=master))

    def run(*arguments):
        running.append(subprocess.Popen([binary, *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL))
        return running[-1]

    first = run("--port", str(master), "--save", "")
    run("--port", str(replica), "--save", "", "--replicaof", "127.0.0.1", str(master))
    eventually(lambda: redis.Redis(port=replica).info("replication")["master_link_status"] == "up", seconds=10)
    run(str(tmp_path / "sentinel.conf"), "--sentinel")
    eventually(lambda: redis.Redis(port=sentinel).sentinel_slaves("main"), seconds=10)
    time.sleep(1)  # the sentinel has seen the replica's offset
    yield sentinel, first
    for process in running:
        process.kill()
        process.wait()


def test_the_clients_follow_the_sentinels_to_the_promoted_server(servers, monkeypatch):
    port, master = servers
    # The first sentinel is unavailable.
    monkeypatch.setenv("REDIS_URL", f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert script.stdout.readline() == "ready\n"
    master.kill()
    out, _ = script.communicate("\n", timeout=60)
    assert out == "['yes', 'written']\n"
