"""Commands of OCPP 2.0.1: `table` has a row for each, the other modules their functions by subject."""
