"""Pocket ORBIT: a small ORBIT of drawn things, made here. Others call `pocket_set.make_pocket`."""
