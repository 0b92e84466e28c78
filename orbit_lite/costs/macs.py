"""MACs of a recognizer, by part and by both counts (see models/counting.py): to personalize, and for a frame.

Ours counts heads by what runs. The leaderboard's takes what the published heads report of themselves, which stands in
each head's record; and for FineTuner, each step encodes every frame again, and a backward pass counts as much as a
forward pass.
"""

import torch
from torch import Tensor

from groundwork.errors import UsageError
from orbit_lite.models.counting import PartMacs, count_macs
from orbit_lite.models.extractor import frame_macs as extractor_macs
from orbit_lite.models.recognizer import Recognizer


def personalize_macs(recognizer: Recognizer, *, way: int, support: int) -> list[PartMacs]:
    """From `support` frames of `way` classes, as equal in number as can be, to a fitted recognizer.

    Frames are encoded each for itself, so one is encoded here and its count multiplied; heads are fitted to random
    features. A backward pass is counted by the operations it consists of: about twice the forward pass where a weight
    learns, about once where only what lies before it does.

    Raises:
        UsageError: if there are fewer support frames than classes, or no class.
    """
    if not 1 <= way <= support:
        raise UsageError(f"way {way}, support {support}: expected one class or more, and a support frame for each")
    labels = torch.arange(support, device=recognizer.device) % way

    def encode_and_fit() -> list[PartMacs]:
        frame, record = extractor_macs(recognizer.extractor), recognizer.head_record
        times = record.macs.encodings(recognizer.head)
        pooling = support * recognizer.extractor.width  # the mean over a clip's frames: counted there for one, too
        encoding = PartMacs("extractor", support * frame.ours, times * support * frame.leaderboard + pooling)
        return [encoding, record.fit_macs(recognizer.head, _features(recognizer, support), labels, way=way)]

    return list(recognizer.adapter.macs(recognizer.extractor, labels, way=way, rest=encode_and_fit))


def frame_macs(recognizer: Recognizer, *, way: int) -> list[PartMacs]:
    """One query frame to its logits, by a recognizer fitted to `way` classes.

    The leaderboard has no such count: its rules are put to the extractor.
    """
    labels = torch.arange(2 * way, device=recognizer.device) % way
    features = _features(recognizer, 2 * way)
    with torch.no_grad():
        head = recognizer.head.fit(features, labels, way=way)
        of_head = PartMacs("head", count_macs(lambda: head.logits(features[:1])), 0)
    return [extractor_macs(recognizer.extractor), of_head]


def _features(recognizer: Recognizer, items: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(items, recognizer.extractor.width, generator=draw).to(recognizer.device)
