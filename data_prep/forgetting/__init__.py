"""A user out of a tree: a plan with proof for every file, then its removal. Others call `forget` and `plan`."""
