"""Limits of the operating system for this process."""

import resource

MAX_OPEN_FILES = 65_536


def allow_many_files():
    """Raise the soft limit of open files, because each charger and each waiting command needs one; 1024 is usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, MAX_OPEN_FILES) if hard != resource.RLIM_INFINITY else MAX_OPEN_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
