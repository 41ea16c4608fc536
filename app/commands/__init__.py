"""The commands of `tillflow` that do their work and end."""
