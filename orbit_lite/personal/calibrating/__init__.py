"""Calibration on held-out videos: how scores become answers, and what can be promised about them."""
