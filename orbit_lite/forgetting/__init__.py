"""A participant out of all that a study's folders hold, each file with a proof. Others call `participant`."""
