"""The REST resources of chargers."""
