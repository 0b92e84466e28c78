"""Estimators of a task's gradient, in the memory of one chunk, for adapters to choose from.

`lite` has LITE's three phases and the one graph that they are compared with, made of the joints in `chain`; loss and
accuracy add up in `score`.
"""
