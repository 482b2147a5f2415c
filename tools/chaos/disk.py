"""A small file system that can be made full, and free again."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOMY = "4g"  # more than a run writes


class Tmpfs:
    """In memory, at `path`; root may mount it."""

    def __init__(self, path):
        self.path = Path(path)

    @classmethod
    def is_allowed(cls):
        """Whether this process may mount one."""
        with tempfile.TemporaryDirectory() as folder:
            probe = cls(folder)
            try:
                probe.mount()
            except (OSError, subprocess.CalledProcessError):
                return False
            probe.unmount()
            return True

    def mount(self, owner=None):
        """Make it, for `owner` (a user's name) alone; raises `CalledProcessError` where that is not allowed."""
        self.path.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={ROOMY},mode=0700", "chaos", str(self.path))
        if owner:
            shutil.chown(self.path, owner)

    def unmount(self):
        if self.path.is_mount():
            _run("umount", "--lazy", str(self.path))

    def fill(self):
        """Leave no room: it becomes as small as what is in it."""
        for _ in range(20):  # it may grow between the two
            try:
                return self._resize(self._used())
            except subprocess.CalledProcessError as error:
                refused = error
        raise refused

    def free(self):
        self._resize(ROOMY)

    def _resize(self, size):
        _run("mount", "-o", f"remount,size={size}", str(self.path))

    def _used(self):
        about = os.statvfs(self.path)
        return (about.f_blocks - about.f_bfree) * about.f_frsize


def _run(*command):
    subprocess.run(command, check=True, capture_output=True)
