"""Inject faults under load, and compare the chargers' own records with the database (`make chaos`)."""
