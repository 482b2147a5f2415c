"""What a process may open."""

import resource

MOST = 65_536


def allow_many_files():
    """A charger is a file in web, a waiting command one in a worker: thousands need more than the usual 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, MOST) if hard != resource.RLIM_INFINITY else MOST
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
