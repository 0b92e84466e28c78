"""The interface of engines: an engine makes an encoder (images to features, without graph) for one extractor state."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groundwork.errors import DataError
from groundwork.words import counted
from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.inputs import chunks_of

_LOG = logging.getLogger("orbit_lite")

Encoder = Callable[[Tensor], Tensor]  # uint8 frames (n, 3, s, s), on any device -> features (n, width)


class EngineFails(DataError):
    """An engine can't run here, or can't run this network; the message says why."""


class Engine(Protocol):
    """A way to run an extractor's network. It has no state; everything prepared is in the encoder."""

    @property
    def name(self) -> str:
        """Its name for `--engine`."""
        ...

    @property
    def chunks_at_once(self) -> int:
        """How many chunks of the default size it encodes at the same time."""
        ...

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """Prepare an encoder for the extractor as it is now, with the state's parameters replacing its own.

        Features agree with `Extractor.encode` to within 1e-4 of their standard deviation.

        Raises:
            EngineFails: if it can't run here, or can't run this network.
        """
        ...


@dataclass(frozen=True)
class EagerEngine:
    """PyTorch, layer by layer as the network is written; the reference."""

    name: str = "eager"
    chunks_at_once: int = 1

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """See Engine; it never fails."""
        return lambda frames: extractor.encode(frames, state=state)


@dataclass
class ChosenEngine:
    """The engine that encoders use; when it changes, they follow."""

    engine: Engine


class CurrentEncoder:
    """An encoder for one state: it is prepared at the first call, and again after the extractor or the engine changes.

    Changes are detected by PyTorch's tensor versions, by tensor addresses, by the first number of each parameter (fused
    optimizers and writes through `.data` don't change versions), by the norms' `eps`, and by the number of threads.
    """

    def __init__(self, chosen: ChosenEngine, extractor: Extractor, state: ExtractorState | None = None) -> None:
        """Prepares nothing yet."""
        self._chosen = chosen
        self._extractor, self._state = extractor, state
        self._made: tuple[Encoder, Engine, _Weights] | None = None  # with the engine and weights that it was made for
        self._most_frames: int | None = None

    def __call__(self, items: Tensor) -> Tensor:
        """Encode one chunk of items, uint8 frames (n, 3, s, s) or clips (n, frames, 3, s, s), as features (n, width),
        without graph.

        Raises:
            EngineFails: see Engine.
        """
        with torch.no_grad():
            return by_frames(self.prepare(), items)

    def prepare(self) -> Encoder:
        """Return the encoder for the extractor as it is now; it is only made again after a change.

        Raises:
            EngineFails: see Engine.
        """
        engine, weights, made = self._chosen.engine, _Weights(self._extractor), self._made
        if made is None or made[1:] != (engine, weights):
            made = self._made = engine.encoder(self._extractor, self._state), engine, weights
        return made[0]

    def in_chunks(self, items: Tensor, frames: int) -> Iterator[Tensor]:
        """Yield the features of any number of items, chunk by chunk, with at most `frames` frames at once.

        If a chunk does not fit into a GPU's memory, it and all later chunks are halved; this is logged once.

        Raises:
            DataError: if not even one item fits.
            EngineFails: see Engine.
        """
        left, encoder = items, None
        while len(left):
            part = next(chunks_of(left, min(frames, self._most_frames or frames)))
            try:
                encoder = encoder or self.prepare()
                with torch.no_grad():
                    found = by_frames(encoder, left[part])
            except torch.OutOfMemoryError as error:
                self._halve(len(left[part]), left[part].numel() // math.prod(left.shape[-3:]), error)
                continue
            yield found
            left = left[part.stop :]

    def _halve(self, items: int, frames: int, error: Exception) -> None:
        device = self._extractor.mean.device
        if items == 1:
            raise DataError(
                f"{device}: the network and {counted(frames, 'frame')} don't fit into its memory; use --device "
                "cpu, or stop other programs that use it"
            ) from error
        (_LOG.debug if self._most_frames else _LOG.warning)(
            "%s: a chunk of %d frames does not fit into its memory; smaller chunks are used, with the same result",
            device,
            frames,
        )
        self._most_frames = max(1, frames // 2)
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the prepared encoder out: a copy prepares its own."""
        return {**self.__dict__, "_made": None}


def by_frames(encoder: Encoder, items: Tensor) -> Tensor:
    """The features of items, (n, width); for a clip, the mean over its frames."""
    if items.ndim == 4:
        return encoder(items)
    return encoder(items.flatten(0, 1)).reshape(*items.shape[:2], -1).mean(dim=1)


class _Weights:
    """The versions of an extractor's tensors, and everything else that its features depend on."""

    def __init__(self, extractor: Extractor) -> None:
        modules = _modules_of(extractor.net)
        parameters = [value for module in modules for value in module._parameters.values() if value is not None]
        buffers = [value for module in modules for value in module._buffers.values() if value is not None]
        self._tensors = [*parameters, *buffers]
        self._versions = [(tensor.data_ptr(), _version(tensor)) for tensor in self._tensors]
        self._firsts = _first_numbers(parameters)
        self._settings = [torch.get_num_threads(), *(getattr(module, "eps", None) for module in modules)]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Weights)
            and len(self._tensors) == len(other._tensors)
            and self._versions == other._versions
            and self._firsts == other._firsts
            and self._settings == other._settings
            and all(one is another for one, another in zip(self._tensors, other._tensors, strict=True))
        )


def _modules_of(net: nn.Module) -> list[nn.Module]:
    """All modules, twice as fast as `net.modules()`: a stream needs them for every frame."""
    found = [net]
    for module in found:
        found += [child for child in module._modules.values() if child is not None]
    return found


@torch.no_grad()
def _first_numbers(parameters: Sequence[Tensor]) -> bytes:
    """The first number of each parameter, as bytes, so that NaN equals itself. It takes about half a millisecond."""
    firsts = [value.as_strided((1,), (0,)) for value in parameters if value.numel()]
    return torch.cat(firsts).view(torch.uint8).cpu().numpy().tobytes() if firsts else b""


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
