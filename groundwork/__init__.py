"""What all three floors stand on: errors, files written whole or not at all, progress, keyed randomness."""
