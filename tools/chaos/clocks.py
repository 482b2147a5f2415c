"""The wall clocks of the product's processes, which can be set while they run.

libfaketime does the same, but its releases up to 0.9.10 break Python's `time.sleep` (wolfcw/libfaketime#426).
"""

import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
COMPILER = "cc"
ROLES = ("web", "worker")


class Clocks:
    """A file for each role, in `folder`: how many seconds its processes are ahead of the machine's clock."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.library = self.folder / "clock.so"
        command = [COMPILER, "-shared", "-fPIC", "-O2", "-o", str(self.library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self.set_right()

    @staticmethod
    def are_possible():
        """Whether there is what makes the library."""
        return shutil.which(COMPILER) is not None

    def environment(self, role):
        """For a process whose clock is to be that of `role`."""
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self._file(role))}

    def step(self, role, seconds):
        # In place, since the processes have it mapped; eight aligned bytes are written at once.
        with self._file(role).open("r+b" if self._file(role).exists() else "wb", buffering=0) as clock:
            clock.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    def set_right(self):
        for role in ROLES:
            self.step(role, 0)

    def _file(self, role):
        return self.folder / role
