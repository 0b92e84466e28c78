"""Run folders and their records, ranks of distributed runs, and devices."""
