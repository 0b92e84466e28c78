"""What an engine is: it makes an encoder, images to features without graph, of one state of an extractor."""

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

Encoder = Callable[[Tensor], Tensor]  # uint8 frames (n, 3, s, s), on any device, to features (n, width) on the weights'


class EngineFails(DataError):
    """An engine can't run here, or not this network; says why."""


class Engine(Protocol):
    """A way of running an extractor's network. Stateless: what it prepares is the encoder."""

    @property
    def name(self) -> str:
        """What `--engine` calls it."""
        ...

    @property
    def chunks_at_once(self) -> int:
        """How many chunks of the usual size it encodes at the same time."""
        ...

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """Prepare an encoder of the extractor as it is now, with the state's parameters in place of its own.

        Features are those of `Extractor.encode` to 1e-4 of their standard deviation.

        Raises:
            EngineFails: if it can't run here, or not this network.
        """
        ...


@dataclass(frozen=True)
class EagerEngine:
    """PyTorch, layer by layer as the network is written: the yardstick."""

    name: str = "eager"
    chunks_at_once: int = 1

    def encoder(self, extractor: Extractor, state: ExtractorState | None) -> Encoder:
        """See Engine; it never fails."""
        return lambda frames: extractor.encode(frames, state=state)


@dataclass
class ChosenEngine:
    """The engine that encoders are to use; it may be changed, and they follow."""

    engine: Engine


class CurrentEncoder:
    """An encoder of one state: prepared when it is first asked, and again once the extractor or the engine is another.

    A change shows in the tensors' versions, which PyTorch counts, in their addresses, in the first number of each
    parameter (fused optimizers, and what is written through `.data`, don't count versions), in the norms' `eps`, and in
    the number of threads.
    """

    def __init__(self, chosen: ChosenEngine, extractor: Extractor, state: ExtractorState | None = None) -> None:
        """Nothing is prepared yet."""
        self._chosen = chosen
        self._extractor, self._state = extractor, state
        self._made: tuple[Encoder, Engine, _Weights] | None = None  # and of which
        self._most_frames: int | None = None

    def __call__(self, items: Tensor) -> Tensor:
        """One chunk of items, uint8 frames (n, 3, s, s) or clips (n, frames, 3, s, s), to features (n, width), without
        graph.

        Raises:
            EngineFails: see Engine.
        """
        with torch.no_grad():
            return by_frames(self.prepare(), items)

    def prepare(self) -> Encoder:
        """What the engine makes of the extractor as it is now; nothing is made if it is as it was.

        Raises:
            EngineFails: see Engine.
        """
        engine, weights, made = self._chosen.engine, _Weights(self._extractor), self._made
        if made is None or made[1:] != (engine, weights):
            made = self._made = engine.encoder(self._extractor, self._state), engine, weights
        return made[0]

    def in_chunks(self, items: Tensor, frames: int) -> Iterator[Tensor]:
        """Features of any number of items, some after the others, `frames` or fewer frames at once.

        A chunk that a GPU's memory does not hold is halved, which is reported once, and so are all that follow.

        Raises:
            DataError: if it does not hold one item.
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
                f"{device}: its memory does not hold the network and {counted(frames, 'frame')}; use --device cpu, or "
                "end what else uses it"
            ) from error
        (_LOG.debug if self._most_frames else _LOG.warning)(
            "%s: its memory does not hold a chunk of %d frames; smaller ones are used, with the same result",
            device,
            frames,
        )
        self._most_frames = max(1, frames // 2)
        if device.type == "cuda":
            torch.cuda.empty_cache()

    def __getstate__(self) -> dict[str, Any]:
        """A copy prepares its own."""
        return {**self.__dict__, "_made": None}


def by_frames(encoder: Encoder, items: Tensor) -> Tensor:
    """Features of items (n, width); a clip's are the mean over its frames."""
    if items.ndim == 4:
        return encoder(items)
    return encoder(items.flatten(0, 1)).reshape(*items.shape[:2], -1).mean(dim=1)


class _Weights:
    """An extractor's tensors, as which version, and what else its features hang on."""

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
    """All modules, twice as quick as `net.modules()`: a stream asks for them with every frame."""
    found = [net]
    for module in found:
        found += [child for child in module._modules.values() if child is not None]
    return found


@torch.no_grad()
def _first_numbers(parameters: Sequence[Tensor]) -> bytes:
    """The first number of each, as bytes: NaN equals itself there. It takes about half a millisecond."""
    firsts = [value.as_strided((1,), (0,)) for value in parameters if value.numel()]
    return torch.cat(firsts).view(torch.uint8).cpu().numpy().tobytes() if firsts else b""


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
