"""A tree made out of another one: extract, resize, split, pack, verify, summarize; `run` is what they share."""
