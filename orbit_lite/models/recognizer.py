"""The recogniser: an extractor and a head. Fitting to a user's images returns a value; the module keeps nothing."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from groundwork.errors import AskedWrong
from orbit_lite.config import nearest
from orbit_lite.models.backbones import FRAME_SIZE_PX, Extractor, build_extractor
from orbit_lite.models.heads import HEADS, FittedHead, Head
from orbit_lite.models.inputs import check_finite, check_images, check_support_labels, chunks_of

# Frames encoded at once, without graph. On two CPU cores EfficientNet-B0 embeds 156 images/s in chunks of 8, 57 in
# chunks of 32, whose activations leave the cache.
CPU_CHUNK_FRAMES, GPU_CHUNK_FRAMES = 8, 256


@dataclass(frozen=True)
class LearnerSpec:
    """A published learner as a composition: the name of its head. (Adapters of the extractor will be named here.)"""

    head: str


LEARNERS: dict[str, LearnerSpec] = {
    "protonets": LearnerSpec(head="proto"),
    "protonets_cosine": LearnerSpec(head="cosine"),
}


class Recognizer(nn.Module):
    """Images of a user's objects to a classifier of them.

    Items are frames, uint8 (n, 3, s, s), or clips, uint8 (n, frames, 3, s, s), whose features are the mean over their
    frames. They may lie on any device: each chunk is moved to the recogniser's when its turn comes.
    """

    def __init__(self, *, extractor: Extractor, head: Head, learner: str = "") -> None:
        """Compose built parts. `learner` is the name in LEARNERS that a checkpoint will carry, "" for none."""
        super().__init__()
        self.extractor = extractor
        self.head = head
        self.learner = learner

    @property
    def device(self) -> torch.device:
        """Where the weights are, and where features and logits come out."""
        return self.extractor.mean.device

    @property
    def chunk_frames(self) -> int:
        """How many frames to encode at once where the caller does not say: what its device is quick with."""
        return CPU_CHUNK_FRAMES if self.device.type == "cpu" else GPU_CHUNK_FRAMES

    def encode(self, items: Tensor, *, bf16: bool = False) -> Tensor:
        """One chunk of items to features (n, width), with graph if gradients are on; not checked. LITE's road.

        bf16: run the network in bfloat16; features are float32 all the same. The autocast is entered anew for each
        chunk, for it keeps casts of the weights, and those made without graph would cut the gradient of a later one.
        """
        frames = items.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            features: Tensor = self.extractor(frames.flatten(0, 1) if items.ndim == 5 else frames)
        return features.reshape(*items.shape[:2], -1).mean(dim=1) if items.ndim == 5 else features

    @torch.no_grad()
    def embed(self, items: Tensor, *, chunk: int | None = None) -> Tensor:
        """Any number of items to features (n, width), in chunks of `chunk` frames (by device), without graph.

        These are the features of the extractor as meta-trained. Where a learner does not adapt it (all in LEARNERS at
        present), they serve every task of every user. Where one does, each distinct support set has features of its
        own: `FittedRecognizer.embed` is right for both.

        Raises:
            FoundWrong: wrong dtype, shape or size, no item, or NaN or infinite features.
        """
        check_images(items, frame_size_px=self.extractor.frame_size_px)
        features = torch.cat([self.encode(items[part]) for part in chunks_of(items, chunk or self.chunk_frames)])
        check_finite(features, what="images")
        return features

    def personalize(
        self, images: Tensor, labels: Tensor, *, way: int | None = None, chunk: int | None = None
    ) -> "FittedRecognizer":
        """Fit to a support set.

        Args:
            images: items, uint8, as the class says.
            labels: int64 (n,), every class 0..way-1 present.
            way: number of classes; the highest label + 1 if not given.
            chunk: frames encoded at once; by device if not given.

        Raises:
            FoundWrong: if images or labels are not so; names the value.
        """
        # before the images are encoded, which may take a minute
        check_images(images, frame_size_px=self.extractor.frame_size_px)
        way = check_support_labels(labels, items=len(images), way=way)
        return self.personalize_from_features(self.embed(images, chunk=chunk), labels, way=way)

    @torch.no_grad()
    def personalize_from_features(
        self, features: Tensor, labels: Tensor, *, way: int | None = None
    ) -> "FittedRecognizer":
        """Fit to features (n, width) that `embed` gave: for tasks that share support frames. Labels as above."""
        way = check_support_labels(labels, items=len(features), way=way)
        check_finite(features, what="support features")
        features = features.to(self.device)
        head = self.head.fit(features, labels.to(self.device), way=way)
        return FittedRecognizer(recognizer=self, head=head, way=way)


@dataclass(frozen=True)
class FittedRecognizer:
    """A recogniser fitted to one support set. Any number can be held at once.

    Holds the head's tensors, and refers to the recogniser for the extractor: training that further changes both.
    """

    recognizer: Recognizer
    head: FittedHead
    way: int

    def logits(self, images: Tensor, *, chunk: int | None = None) -> Tensor:
        """Items, as Recognizer says, to (m, way), without graph. Raises FoundWrong as `Recognizer.embed`."""
        return self.logits_from_features(self.embed(images, chunk=chunk))

    def embed(self, images: Tensor, *, chunk: int | None = None) -> Tensor:
        """Items to features (m, width), of the extractor as this support set has it."""
        return self.recognizer.embed(images, chunk=chunk)

    @torch.no_grad()
    def logits_from_features(self, features: Tensor) -> Tensor:
        """Features (m, width) of `embed` to (m, way): each frame embedded once, then a task is a matrix product."""
        return self.head.logits(features.to(self.recognizer.device))


def build_recognizer(
    learner: str, backbone: str, *, weights: str | Path, seed: int = 0, frame_size_px: int = FRAME_SIZE_PX
) -> Recognizer:
    """Compose a learner on a backbone.

    Args:
        learner: a key of LEARNERS.
        backbone, weights, seed, frame_size_px: as for `build_extractor`.

    Raises:
        AskedWrong: if a name is unknown, or the weights are not to be had.
        FoundWrong: if a file of weights does not fit.
    """
    if learner not in LEARNERS:
        raise AskedWrong(f"unknown learner {learner!r}{nearest(learner, LEARNERS)}; known: {', '.join(LEARNERS)}")
    extractor = build_extractor(backbone, weights=weights, seed=seed, frame_size_px=frame_size_px)
    return Recognizer(extractor=extractor, head=HEADS[LEARNERS[learner].head], learner=learner)
