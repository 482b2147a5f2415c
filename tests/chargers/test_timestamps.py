"""Timestamps in the notations of chargers."""

from datetime import UTC, datetime

import pytest

from core.ocpp import timestamps

NOON = datetime(2025, 2, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-26T12:00:00Z",
        "2025-02-26T12:00:00",
        "2025-02-26T14:00:00+02",
        "2025-02-26T14:00:00.000+02:00",
        "2025-02-26 12:00:00Z",
    ],
)
def test_a_time_is_parsed_in_many_notations(text):
    assert timestamps.parse(text) == NOON


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2022-02-29T00:00:00Z", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59Z"]
)
def test_a_text_that_is_no_time_gives_none(text):
    assert timestamps.parse(text) is None


def test_times_are_formatted_in_utc_with_z():
    assert timestamps.to_rfc3339(NOON) == "2025-02-26T12:00:00.000Z"


def test_a_clamped_time_is_never_after_it_was_received():
    assert timestamps.clamp("2099-01-01T00:00:00Z", NOON) == NOON
    assert timestamps.clamp("1970-01-01T00:00:00Z", NOON) == NOON
    assert timestamps.clamp("2025-02-26T11:00:00Z", NOON) == datetime(2025, 2, 26, 11, tzinfo=UTC)
