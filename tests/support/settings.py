"""Load the settings in a process of their own."""

import os
import subprocess
import sys

from tools.stack.stack import PROJECT


def load_settings(**environment):
    """(exit code, last line) of loading the settings with `environment`."""
    env = os.environ | {"API_AUTH": "token", "DEBUG": "0", "SECRET_KEY": "0123456789" * 3} | environment
    done = subprocess.run(
        [sys.executable, "-c", "import config.settings"],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]
