"""Scenarios that this machine does not allow."""


class Skipped(Exception):
    """This machine can't do it: why, and what would be needed."""
