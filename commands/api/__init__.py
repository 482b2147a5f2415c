"""The REST resources of commands."""
