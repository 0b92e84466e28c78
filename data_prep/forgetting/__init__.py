"""Removes a user from a tree: plans with proof for every file, then removes. Others call `forget` and `plan`."""
