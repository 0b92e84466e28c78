"""Pocket ORBIT: a small synthetic ORBIT of drawn objects. Others call `pocket_set.make_pocket`."""
