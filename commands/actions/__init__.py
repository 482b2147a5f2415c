"""Actions that can be sent to a charger: `table` has those of every OCPP version, a folder those of one version."""
