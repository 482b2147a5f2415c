"""Services of chargers: functions that take and return typed values, and no payloads of a protocol."""
