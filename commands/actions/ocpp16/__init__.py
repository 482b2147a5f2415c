"""Commands of OCPP 1.6: `table` has a row for each, the other modules their functions by subject."""
