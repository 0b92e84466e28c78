"""Checks how well a user's videos teach a recognizer, by leaving some out. Callers use `check_user.check_user`."""
