"""Hypothesis: JSON values of every kind, and settings that make a run repeatable."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
texts = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(), min_size=1, max_size=8),  # including lone surrogates
    st.sampled_from(["\0", "a\0b", "\ud800", "x" * 256, "x" * 17_000, "{}", "'; DROP TABLE chargers_charger; --"]),
)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([2**31, -(2**31) - 1, 2**63, 2**64, 10**400, -1, 0, 1e308, 1.55]),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
