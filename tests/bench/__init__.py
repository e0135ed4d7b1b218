"""Benchmarks: figures to read, no tests."""
