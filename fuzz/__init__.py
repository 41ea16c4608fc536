"""Beside the tests: the running API, asked what nobody would ask, by the description it gives of
itself. What it answers must be described there, and never be our own fault."""
