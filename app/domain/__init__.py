"""The rules of money, with nothing installed but Python."""
