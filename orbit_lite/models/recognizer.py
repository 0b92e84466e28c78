"""The recognizer: extractor, adapter and head. Fitting to a user's images returns a value and does not change the
module."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from orbit_lite.models.adapters import find_adapter
from orbit_lite.models.adapters.interface import Adapter
from orbit_lite.models.adapters.none import NO_ADAPTER
from orbit_lite.models.backbones.record import FRAME_SIZE_PX
from orbit_lite.models.chunks import Chunks, default_chunks
from orbit_lite.models.engines import DEFAULT_ENGINE
from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder, Engine
from orbit_lite.models.extractor import Extractor, ExtractorState, build_extractor
from orbit_lite.models.heads import find_head
from orbit_lite.models.heads.fitting import FittedHead, Head, head_tensors
from orbit_lite.models.heads.record import HeadRecord
from orbit_lite.models.inputs import (
    NotFinite,
    check_finite,
    check_images,
    check_support_labels,
    check_videos,
)
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.middle_view import MiddleView


class Recognizer(nn.Module):
    """Turns images of a user's objects into a classifier for these objects.

    Items are frames, uint8 (n, 3, s, s), or clips, uint8 (n, frames, 3, s, s), whose features are the mean over their
    frames. They can be on any device: each chunk is moved to the recognizer's device when it is processed.
    """

    def __init__(
        self, *, extractor: Extractor, head: Head, adapter: Adapter = NO_ADAPTER, learner: LearnerConfig | None = None
    ) -> None:
        """Compose built parts. `learner` is their config, which a checkpoint stores; without it the recognizer can't be
        saved."""
        super().__init__()
        self.extractor = extractor
        self.adapter = adapter
        self.head = head
        self.learner = learner
        self._chosen = ChosenEngine(DEFAULT_ENGINE)
        self._encoder = CurrentEncoder(self._chosen, extractor)

    @property
    def engine(self) -> Engine:
        """The engine that runs the extractor when no gradient is needed; can be set."""
        return self._chosen.engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._chosen.engine = engine

    @property
    def device(self) -> torch.device:
        """The device of the weights, and of features and logits."""
        return self.extractor.mean.device

    @property
    def head_record(self) -> HeadRecord:
        """The record of its head.

        Raises:
            ValueError: if it was composed without a learner's config, which names the head.
        """
        if self.learner is None:
            raise ValueError("a recognizer without a learner's config does not know the name of its head")
        return find_head(self.learner.head)

    @property
    def shares_features(self) -> bool:
        """Whether features are the same for every support set, because the extractor does not adapt."""
        return self.adapter.shares_features

    @property
    def chunks(self) -> Chunks:
        """How many frames to encode at once by default: what is fast on its device, for an engine that processes one
        chunk at a time."""
        return default_chunks(self.device)

    @torch.no_grad()
    def embed(self, items: Tensor, *, state: ExtractorState | None = None, chunk: int | None = None) -> Tensor:
        """Encode any number of items as features (n, width), in chunks of `chunk` frames (default: by device), without
        graph.

        Without `state` these are the features of the meta-trained extractor. If the learner does not adapt it, they are
        valid for every task of every user; otherwise each support set has its own features. `FittedRecognizer.embed` is
        right in both cases.

        Raises:
            DataError: for a wrong dtype, shape or size, no items, or NaN or infinite features.
            EngineFails: if the engine can't run this network.
        """
        return self.embed_by(self.encoder(state), items, chunk=chunk)

    def encoder(self, state: ExtractorState | None = None) -> CurrentEncoder:
        """An encoder on the recognizer's engine, with a state's parameters replacing the extractor's own."""
        return self._encoder if state is None else CurrentEncoder(self._chosen, self.extractor, state)

    @torch.no_grad()
    def embed_by(self, encoder: CurrentEncoder, items: Tensor, *, chunk: int | None = None) -> Tensor:
        """Same as `embed`, with an encoder from `encoder`, since preparing one takes a while.

        If a chunk does not fit into a GPU's memory, it and all later chunks are halved; this is logged once.
        """
        check_images(items, frame_size_px=self.extractor.frame_size_px)
        features = torch.cat(list(encoder.in_chunks(items, chunk or self.engine.chunks_at_once * self.chunks.no_graph)))
        check_finite(features, what="images")
        return features

    @torch.no_grad()
    def personalize(
        self,
        images: Tensor,
        labels: Tensor,
        videos: Tensor | None = None,
        *,
        way: int | None = None,
        chunk: int | None = None,
    ) -> "FittedRecognizer":
        """Fit to a support set.

        Args:
            images: the items, uint8; see the class.
            labels: int64 (n,); every class in 0..way-1 occurs.
            videos: int64 (n,), the number of each item's video, unique across classes; None: each item is its own
                video.
            way: the number of classes; the default is the highest label + 1.
            chunk: how many frames to encode at once; the default depends on the device.

        Raises:
            DataError: if images, labels or videos are invalid (the message names the value), or if features or the
                fitted head are not finite because the weights have diverged.
        """
        # check before encoding the images, which may take a minute
        check_images(images, frame_size_px=self.extractor.frame_size_px)
        way = check_support_labels(labels, items=len(images), way=way)
        check_videos(videos, labels)
        labels, videos = labels.to(self.device), videos.to(self.device) if videos is not None else None
        chunks = Chunks(chunk, chunk, chunk) if chunk else self.chunks
        adapted = self.adapter.fit(self.extractor, images, labels, way=way, videos=videos, chunks=chunks)
        encoder = self.encoder(adapted.state)
        if (head := adapted.head) is None:
            head = self._fit(self.embed_by(encoder, images, chunk=chunk), labels, videos, way)
        return FittedRecognizer(recognizer=self, head=head, way=way, state=adapted.state, _encoder=encoder)

    @torch.no_grad()
    def personalize_from_features(
        self, features: Tensor, labels: Tensor, videos: Tensor | None = None, *, way: int | None = None
    ) -> "FittedRecognizer":
        """Fit to features (n, width) from `embed`, for tasks that share support frames; otherwise like `personalize`.

        Raises:
            DataError: if features, labels or videos are invalid.
            ValueError: if the learner adapts its extractor, which needs the images.
        """
        if not self.shares_features:
            raise ValueError("a learner that adapts its extractor must be fitted to images, not to features")
        way = check_support_labels(labels, items=len(features), way=way)
        check_videos(videos, labels)
        check_finite(features, what="support features")
        return FittedRecognizer(recognizer=self, head=self._fit(features, labels, videos, way), way=way)

    def _fit(self, features: Tensor, labels: Tensor, videos: Tensor | None, way: int) -> FittedHead:
        own = videos.to(self.device) if videos is not None else None
        head = self.head.fit(features.to(self.device), labels.to(self.device), way=way, videos=own)
        for name, value in head_tensors(head).items():
            if not torch.isfinite(value).all():
                raise NotFinite(f"the fitted head has NaN or infinite {name}; the head's own weights have diverged")
        return head


@dataclass(frozen=True, eq=False)
class FittedRecognizer:
    """A recognizer fitted to one support set. Any number of them can coexist.

    It holds the head's tensors and the adapted parameters, if any, and refers to the recognizer for the extractor, so
    training the recognizer further also changes this object.
    """

    recognizer: Recognizer
    head: FittedHead
    way: int
    state: ExtractorState | None = None
    _encoder: CurrentEncoder | None = field(default=None, repr=False)

    def logits(self, images: Tensor, *, chunk: int | None = None) -> Tensor:
        """The logits (m, way) of items (see Recognizer), without graph. Raises DataError like `Recognizer.embed`."""
        return self.logits_from_features(self.embed(images, chunk=chunk))

    def embed(self, images: Tensor, *, chunk: int | None = None) -> Tensor:
        """The features (m, width) of items, by the extractor as adapted to this support set."""
        return self.recognizer.embed_by(self._current_encoder, images, chunk=chunk)

    def prepare(self) -> None:
        """Prepare the encoder, as `embed` does when needed. Call this before several threads call `embed`.

        Raises:
            EngineFails: if the engine can't run this network.
        """
        self._current_encoder.prepare()

    @cached_property
    def _current_encoder(self) -> CurrentEncoder:
        return self._encoder or self.recognizer.encoder(self.state)

    @torch.no_grad()
    def logits_from_features(self, features: Tensor) -> Tensor:
        """The logits (m, way) of features (m, width) from `embed`, so that each frame is embedded only once."""
        return self.head.logits(features.to(self.recognizer.device))


def build_recognizer(
    learner: LearnerConfig | str,
    backbone: str,
    *,
    weights: str | Path,
    seed: int = 0,
    frame_size_px: int = FRAME_SIZE_PX,
) -> Recognizer:
    """Compose a learner on a backbone.

    Args:
        learner: a config, or the name of a built-in learner.
        backbone, weights, frame_size_px: see `build_extractor`.
        seed: the seed of all random weights; the global random state is neither read nor changed.

    Raises:
        UsageError: if a name is unknown, or the weights are not available.
        DataError: if a file of weights does not fit.
    """
    config = load_learner(learner) if isinstance(learner, str) else learner
    extractor = build_extractor(backbone, weights=weights, seed=seed, frame_size_px=frame_size_px)
    if config.middle_view is not None:
        extractor.net = MiddleView(extractor.net, share=config.middle_view)
    extractor.net.requires_grad_(config.extractor == "learned")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        of_adapter, of_head = find_adapter(config.adapter), find_head(config.head)
        settings = of_adapter.settings.model_validate(config.adapter_settings)
        adapter = of_adapter.build(config, settings, extractor)
        head = of_head.build(config, of_head.settings.model_validate(config.head_settings), extractor.width)
    return Recognizer(extractor=extractor, adapter=adapter, head=head, learner=config)
