"""What must not come in: forged callbacks, card testers, slow and oversized requests."""
