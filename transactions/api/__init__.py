"""The REST resources of transactions."""
