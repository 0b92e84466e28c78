"""One video file to square RGB frames at a stated rate, and what is damaged in it.

Others call `probe.probe` (what the file holds), `frames` (its pictures) and `damage` (what libav says of them).
"""
