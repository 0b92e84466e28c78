"""MACs of a recognizer, by part and by both counts (see models/counting.py): to personalize, and for a frame.

Ours counts heads by what runs. The leaderboard's takes what the published heads report of themselves, which stands in
each head's record; and for FineTuner, each step encodes every frame again, and a backward pass counts as much as a
forward pass.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from groundwork.errors import AskedWrong
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.adapters.film_tuner import FilmTuner
from orbit_lite.models.adapters.set_encoder import MAPS
from orbit_lite.models.counting import PartMacs, count_leaderboard_macs, count_macs
from orbit_lite.models.recognizer import Recognizer


def personalize_macs(recognizer: Recognizer, *, way: int, support: int) -> list[PartMacs]:
    """From `support` frames of `way` classes, as equal in number as can be, to a fitted recogniser.

    Frames are encoded each for itself, so one is encoded here and its count multiplied; heads are fitted to random
    features. A backward pass is counted by the operations it consists of: about twice the forward pass where a weight
    learns, about once where only what lies before it does.

    Raises:
        AskedWrong: if there are fewer support frames than classes, or no class.
    """
    if not 1 <= way <= support:
        raise AskedWrong(f"way {way}, support {support}: expected one class or more, and a support frame for each")
    labels = torch.arange(support, device=recognizer.device) % way
    if isinstance(recognizer.adapter, FilmTuner):
        return [_film_tuning(recognizer, recognizer.adapter, labels, way)]
    encoding = _encoding(recognizer)
    record = recognizer.head_record
    head = record.fit_macs(recognizer.head, _features(recognizer, support), labels, way=way)
    times = record.macs.encodings(recognizer.head)
    pooling = support * recognizer.extractor.width  # the mean over a clip's frames: counted there for one frame, too
    extractor = PartMacs("extractor", support * encoding.ours, times * support * encoding.leaderboard + pooling)
    adapter = recognizer.adapter
    return [*(_adapting(recognizer, adapter, support) if adapter is not None else []), extractor, head]


def frame_macs(recognizer: Recognizer, *, way: int) -> list[PartMacs]:
    """One query frame to its logits, by a recogniser fitted to `way` classes.

    The leaderboard has no such count: its rules are put to the extractor.
    """
    labels = torch.arange(2 * way, device=recognizer.device) % way
    features = _features(recognizer, 2 * way)
    with torch.no_grad():
        head = recognizer.head.fit(features, labels, way=way)
        return [_encoding(recognizer), PartMacs("head", count_macs(lambda: head.logits(features[:1])), 0)]


def _encoding(recognizer: Recognizer) -> PartMacs:
    extractor, frame = recognizer.extractor, _frame(recognizer)
    with torch.no_grad():
        ours = count_macs(lambda: extractor.encode(frame))
    return PartMacs("extractor", ours, count_leaderboard_macs(extractor.net, lambda: extractor.encode(frame)))


def _adapting(recognizer: Recognizer, adapter: FilmAdapter, support: int) -> list[PartMacs]:
    extractor, frame = recognizer.extractor, _frame(recognizer)
    embedding = extractor.mean.new_zeros(1, MAPS)

    def encode() -> Tensor:
        return adapter.encode(extractor, frame)

    def generate() -> Mapping[str, Tensor]:
        return adapter.film(extractor, embedding)

    with torch.no_grad():
        encoder, generator = count_macs(encode), count_macs(generate)
    return [
        PartMacs("set encoder", support * encoder, support * count_leaderboard_macs(adapter.set_encoder, encode)),
        PartMacs("FiLM generator", generator, count_leaderboard_macs(adapter.generator, generate)),
    ]


def _film_tuning(recognizer: Recognizer, tuner: FilmTuner, labels: Tensor, way: int) -> PartMacs:
    """One step on one frame; a full-batch step is as many of these as there are frames."""
    one_step, frame = replace(tuner, steps=1), _frame(recognizer)
    ours = count_macs(lambda: one_step.tune(recognizer.extractor, frame, labels[:1], way=way, chunk=1))
    width = recognizer.extractor.width
    leaderboard = 2 * _encoding(recognizer).leaderboard + width + way * width
    passes = tuner.steps * len(labels)
    return PartMacs(f"extractor and head, {tuner.steps} steps", passes * ours, passes * leaderboard)


def _frame(recognizer: Recognizer) -> Tensor:
    size_px = recognizer.extractor.frame_size_px
    return torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=recognizer.device)


def _features(recognizer: Recognizer, items: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(items, recognizer.extractor.width, generator=draw).to(recognizer.device)
