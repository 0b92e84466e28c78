"""A user's videos to a personal recognizer. Others call `personalize.personalize` and `teach`."""
