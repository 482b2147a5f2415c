"""Simulated chargers: for the demo, the tests, the chaos tests and the benchmarks."""
