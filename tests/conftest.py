"""Settings of all tests: Hypothesis draws the same examples on every run."""

from hypothesis import settings

settings.register_profile("clusterwhy", deadline=None, derandomize=True, max_examples=50, print_blob=True)
settings.load_profile("clusterwhy")
