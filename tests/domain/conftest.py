"""Hypothesis, without a stopwatch: machines of different speed must agree."""

from hypothesis import settings

settings.register_profile("tillflow", deadline=None, max_examples=200)
settings.load_profile("tillflow")
