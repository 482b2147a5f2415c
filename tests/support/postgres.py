"""The programs of PostgreSQL."""

import subprocess

from tests.support.servers import RUN_DIR
from tools.stack.servers import Postgres


def run_program(program, *arguments):
    tool = Postgres(RUN_DIR).binaries / program
    return subprocess.run([str(tool), *arguments], check=True, capture_output=True)
