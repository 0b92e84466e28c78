"""What every run has: its folder and record, its ranks, its device."""
