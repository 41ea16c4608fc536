"""The harness that asks the API what nobody would ask: it finds what is planted."""
