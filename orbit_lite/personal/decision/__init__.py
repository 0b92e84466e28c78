"""Turns a frame's scores into an answer: its confidence, its familiarity, and when it is none of these."""
