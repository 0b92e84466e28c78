"""What a recognizer makes of a user's videos that did not teach it. Others call `check_user.check_user`."""
