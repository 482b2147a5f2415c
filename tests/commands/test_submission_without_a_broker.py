"""A submission without a broker."""

import subprocess
import sys

from tests.support.live import an_id
from tools.stack.stack import PROJECT

ASK = """
import django
django.setup()
from django.test import Client
answer = Client(headers={"Host": "127.0.0.1"}).post("/api/ocpp/start/CHARGER/", content_type="application/json")
print(answer.status_code, answer.json())
"""


def test_a_submission_without_a_broker_is_answered_503_and_stores_nothing(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    env = live.stack.env | {"REDIS_URL": "redis://127.0.0.1:1/0", "DJANGO_SETTINGS_MODULE": "config.settings"}
    script = ASK.replace("CHARGER", charger_id)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("503 {'error': 'Redis or the message broker is unavailable.")
    assert live.get(f"/api/ocpp/commands/?charger_id={charger_id}")["count"] == 0
