"""Estimators of a task's gradient in the memory of one chunk, which adapters use.

`lite` implements LITE's three phases, and the single graph that they are compared with, using the joints in `chain`;
`score` accumulates loss and accuracy.
"""
