"""The wall clocks of the product's processes, which can be set while they run (libfaketime)."""

from pathlib import Path

LIBRARY = "lib/*/faketime/libfaketimeMT.so.1"
ROLES = ("web", "worker")


class Clocks:
    """A file for each role, in `folder`: how many seconds its processes are ahead of the machine's clock."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.set_right()

    @staticmethod
    def library():
        """Where libfaketime is, None without it."""
        return next(Path("/usr").glob(LIBRARY), None)

    def environment(self, role):
        """For a process whose clock is to be that of `role`."""
        return {
            "LD_PRELOAD": str(self.library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(role)),
            "FAKETIME_CACHE_DURATION": "1",  # seconds after which the file is read again
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, role, seconds):
        fresh = self._file(role).with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self._file(role))  # a file that is half written would set the clock to 1970

    def set_right(self):
        for role in ROLES:
            self.step(role, 0)

    def _file(self, role):
        return self.folder / role
