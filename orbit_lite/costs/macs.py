"""MACs of a recognizer to personalize and to classify a frame, by part and by both counts (see models/counting.py).

Our count of a head is of the operations that run. The leaderboard's count is the number that the published head
reports, which is in each head's record; for FineTuner, each step encodes every frame again, and a backward pass counts
as much as a forward pass.
"""

import torch
from torch import Tensor

from groundwork.errors import UsageError
from orbit_lite.models.counting import PartMacs, count_macs
from orbit_lite.models.extractor import frame_macs as extractor_macs
from orbit_lite.models.recognizer import Recognizer


def personalize_macs(recognizer: Recognizer, *, way: int, support: int) -> list[PartMacs]:
    """MACs to fit a recognizer to `support` frames of `way` classes, spread over the classes as evenly as possible.

    Frames are encoded independently, so one frame is encoded here and its count multiplied; heads are fitted to random
    features. A backward pass is counted by its operations: about twice the forward pass for a layer whose weights
    learn, about once for a layer that only passes the gradient on.

    Raises:
        UsageError: if there are fewer support frames than classes, or no class.
    """
    if not 1 <= way <= support:
        raise UsageError(
            f"way {way}, support {support}: expected at least one class, and a support frame for each class"
        )
    labels = torch.arange(support, device=recognizer.device) % way

    def encode_and_fit() -> list[PartMacs]:
        frame, record = extractor_macs(recognizer.extractor), recognizer.head_record
        times = record.macs.encodings(recognizer.head)
        # the published count includes the mean over a clip's frames, even for clips of one frame
        pooling = support * recognizer.extractor.width
        encoding = PartMacs("extractor", support * frame.ours, times * support * frame.leaderboard + pooling)
        return [encoding, record.fit_macs(recognizer.head, _features(recognizer, support), labels, way=way)]

    return list(recognizer.adapter.macs(recognizer.extractor, labels, way=way, rest=encode_and_fit))


def frame_macs(recognizer: Recognizer, *, way: int) -> list[PartMacs]:
    """MACs for the logits of one query frame, by a recognizer fitted to `way` classes.

    The leaderboard has no such count; here its rules are applied to the extractor.
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
