"""Load the settings in processes of their own."""

import json
import os
import subprocess
import sys
from functools import cache

from tools.stack.stack import PROJECT

BASE = {"API_AUTH": "token", "DEBUG": "0", "SECRET_KEY": "0123456789" * 3}
# Loads the settings once for each line, an environment, in a fork that has the libraries already.
LOADER = """
import json, os, sys, traceback
import config.settings
for line in sys.stdin:
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        continue
    os.environ.clear()
    os.environ.update(json.loads(line))
    for name in [name for name in sys.modules if name.partition(".")[0] == "config"]:
        del sys.modules[name]
    found = [0, ""]
    try:
        import config.settings
    except BaseException as error:
        found = [1, "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]]
    print(json.dumps(found), flush=True)
    os._exit(0)
"""


@cache
def loader():
    """The process that loads settings; it ends with the tests, which close its input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", LOADER], cwd=PROJECT, env=os.environ | BASE, **pipes)


def load_settings(**environment):
    """(exit code, last line of the error) of loading the settings with `environment`."""
    process = loader()
    process.stdin.write(json.dumps(os.environ | BASE | environment) + "\n")
    process.stdin.flush()
    return tuple(json.loads(process.stdout.readline()))
