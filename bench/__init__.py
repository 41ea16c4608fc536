"""What things cost, compared within one run."""
