"""Tillflow under load, broken on purpose, and judged by what was really charged."""
