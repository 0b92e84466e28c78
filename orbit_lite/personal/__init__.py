"""A new user's videos: to a personal recognizer in one file, and what is in a new video, frame by frame."""
