"""Heads turn support features into a classifier. `find_head` returns a head's record by name.

Each head is one file here and one line in this table; docs/learners.md describes its record. Installed packages can add
others through the entry point group `orbit_lite.heads`.
"""

from orbit_lite.models.heads import (
    cosine,
    feat,
    inner_loop,
    lda,
    linear,
    logistic,
    mahalanobis,
    prototypes,
    ridge,
    solved,
    subspace,
    versa,
)
from orbit_lite.models.heads.record import HeadRecord
from orbit_lite.models.plugins import HEAD

HEADS: dict[str, HeadRecord] = {
    record.name: record
    for record in (
        prototypes.RECORD,
        cosine.RECORD,
        versa.RECORD,
        mahalanobis.RECORD,
        linear.RECORD,
        inner_loop.RECORD,
        logistic.RECORD,
        ridge.RECORD,
        lda.RECORD,
        feat.RECORD,
        subspace.RECORD,
        solved.RECORD,
    )
}


def find_head(name: str) -> HeadRecord:
    """Return a head's record from this table or an installed package.

    Raises:
        UsageError: for an unknown name (the message lists similar and known names), or a broken package.
    """
    return HEAD.find(name, HEADS, expected=HeadRecord)
