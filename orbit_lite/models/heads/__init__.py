"""The heads: support features to a classifier. `find_head` gives a head's record by name.

A head is one file here, and one line in this table; docs/learners.md says what its record holds. Installed packages add
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
    """A head's record, from this table or from an installed package.

    Raises:
        UsageError: for an unknown name (says which are near, and which there are), or a package that is broken.
    """
    return HEAD.find(name, HEADS, expected=HeadRecord)
