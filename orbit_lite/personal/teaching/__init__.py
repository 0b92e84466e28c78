"""Teaches a personal recognizer from a user's videos. Callers use `personalize.personalize` and `teach`."""
