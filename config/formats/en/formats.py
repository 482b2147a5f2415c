"""Formats of dates and times in the admin: ISO 8601 order, to the second, as in the API and the logs."""

DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = "Y-m-d H:i:s"
