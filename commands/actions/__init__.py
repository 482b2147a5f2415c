"""Actions that can be sent to a charger: `table` has a row for each, the other modules their functions by subject."""
