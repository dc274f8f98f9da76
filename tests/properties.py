"""Settings of property tests: the same examples in every run, few enough to be fast, and no files."""

from hypothesis import settings

examples = settings(max_examples=50, derandomize=True, deadline=None, database=None)
"""Decorator of a property test."""
