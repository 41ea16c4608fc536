"""The production shape, checked without a container engine."""
