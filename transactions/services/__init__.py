"""Services of transactions: functions that take and return typed values, and no payloads of a protocol."""
