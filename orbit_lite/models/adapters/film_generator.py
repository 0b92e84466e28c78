"""CNAPs' adapter: networks generate the FiLM parameters from the whole support set. Requeima et al. 2019 (arXiv
1906.07697)."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film import film_parameters, film_shapes
from orbit_lite.models.adapters.interface import Adapted
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.adapters.set_encoder import CPU_CHUNK, MAPS, SetEncoder
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs, count_leaderboard_macs, count_macs
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.chain import EncodedSupport, Joint
from orbit_lite.models.gradients.lite import GradientPlan, one_graph, three_phases
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads.fitting import Head
from orbit_lite.models.inputs import check_finite, chunks_of
from orbit_lite.models.settings import NoSettings

REGULARIZER_STD = 0.001


class FilmAdapter(nn.Module):
    """Generates each FiLM parameter from the support set's mean encoding, with one small network per parameter.

    weight = w0 (1 + r g), bias = b0 + r g, where w0 and b0 are the extractor's own, g is the network's output, and r is
    a learned vector that starts near 0, so an untrained adapter hardly changes the extractor.
    """

    shares_features = False

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.names = tuple(film_parameters(extractor))
        self.set_encoder = SetEncoder()
        self.generator = FilmGenerator([value.numel() for value in film_parameters(extractor).values()])

    def encode(self, extractor: Extractor, items: Tensor, *, bf16: bool = False) -> Tensor:
        """Encode one chunk of uint8 items (n, 3, s, s), or clips, as set encodings (n, 64), with graph if gradients are
        on.

        With bf16 the network runs in bfloat16, as in `Extractor.encode`; the encodings are float32.
        """
        frames = items.to(extractor.mean.device, non_blocking=True)
        with torch.autocast(extractor.mean.device.type, torch.bfloat16, enabled=bf16):
            encodings = self.set_encoder.forward_folded(
                extractor.pixels(frames.flatten(0, 1) if items.ndim == 5 else frames)
            )
        encodings = encodings.float() if bf16 else encodings
        return encodings.reshape(*items.shape[:2], -1).mean(dim=1) if items.ndim == 5 else encodings

    def film(self, extractor: Extractor, encodings: Tensor) -> dict[str, Tensor]:
        """The FiLM state for the set encodings (n, 64) of the whole support set."""
        own = film_parameters(extractor)
        changes = self.generator(encodings.mean(dim=0))
        return {
            name: own[name] * (1 + change) if name.endswith("weight") else own[name] + change
            for name, change in zip(self.names, changes, strict=True)
        }

    def squares(self) -> Tensor:
        """The sum of all r squared, which training penalizes."""
        return torch.stack([r.square().sum() for r in self.generator.regularizers]).sum()

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """See Adapter. Labels and videos are not used."""
        parts = chunks_of(items, _at_once(extractor, chunks.no_graph))
        encodings = torch.cat([self.encode(extractor, items[part]) for part in parts])
        check_finite(encodings, what="support images, set encoder")
        return Adapted(self.film(extractor, encodings))

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """See Adapter."""
        if plan.estimator == "full":
            state = self.film(extractor, self.encode(extractor, task.support, bf16=plan.bf16))
            found = one_graph(extractor, head, task, plan, state=state)
        else:
            found = three_phases(extractor, head, task, plan, _Generated(self, extractor, task.support, plan))
        penalty = plan.film_penalty.of_task(self.squares(), query_items=len(task.query), loss_scale=plan.loss_scale)
        torch.autograd.backward(penalty)
        return found

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """See Adapter."""
        device, size_px, support = extractor.mean.device, extractor.frame_size_px, len(labels)
        frame = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=device)
        embedding = extractor.mean.new_zeros(1, MAPS)

        def encode() -> Tensor:
            encodings: Tensor = self.set_encoder(extractor.pixels(frame))
            return encodings

        def generate() -> Mapping[str, Tensor]:
            return self.film(extractor, embedding)

        with torch.no_grad():
            encoder, generator = count_macs(encode), count_macs(generate)
        return [
            PartMacs("set encoder", support * encoder, support * count_leaderboard_macs(self.set_encoder, encode)),
            PartMacs("FiLM generator", generator, count_leaderboard_macs(self.generator, generate)),
            *rest(),
        ]

    def parts(self) -> Mapping[str, nn.Module]:
        """See Adapter."""
        return {"set encoder": self.set_encoder, "FiLM generator": self.generator}

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """See Adapter."""
        return film_shapes(extractor)


class _Generated:
    """The generated FiLM parameters as leaves, and back-propagation from them; see Upstream."""

    def __init__(self, adapter: FilmAdapter, extractor: Extractor, items: Tensor, plan: GradientPlan) -> None:
        self._count = len(items)
        encode = partial(adapter.encode, extractor, bf16=plan.bf16)
        self._set = EncodedSupport(encode, items, chunk=_at_once(extractor, plan.chunks.no_graph))
        self._with_graph = _at_once(extractor, plan.chunks.with_graph)
        self._film = Joint(adapter.film(extractor, self._set.leaf))

    @property
    def state(self) -> Mapping[str, Tensor]:
        """See Upstream."""
        return self._film.leaves

    def back_propagate(self, plan: GradientPlan) -> None:
        """See Upstream."""
        self._film.back_propagate()
        self._set.back_propagate(h=plan.draws(self._count), rng=plan.rng, chunk=self._with_graph)


def _at_once(extractor: Extractor, chunk: int) -> int:
    """The set encoder's chunk size, given the extractor's."""
    return min(chunk, CPU_CHUNK) if extractor.mean.device.type == "cpu" else chunk


class FilmGenerator(nn.Module):
    """One network per FiLM parameter. The module's names are those of the published checkpoints."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.generators = nn.ModuleList([_Block(size) for size in sizes])
        self.regularizers = nn.ParameterList([REGULARIZER_STD * torch.randn(size) for size in sizes])

    def forward(self, embedding: Tensor) -> list[Tensor]:
        """Return r g for each parameter, (size,), given the task's embedding (64,)."""
        return [r * generator(embedding) for r, generator in zip(self.regularizers, self.generators, strict=True)]


class _Block(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(MAPS, MAPS), nn.LayerNorm(MAPS), nn.ReLU(), nn.Linear(MAPS, size))

    def forward(self, embedding: Tensor) -> Tensor:
        values: Tensor = self.block(embedding)
        return values


RECORD = AdapterRecord(
    name="generator",
    summary="FiLM parameters from a set encoder",
    settings=NoSettings,
    build=lambda learner, own, extractor: FilmAdapter(extractor),
    heads=(),
    passes_gradient=True,
    meta_learned=True,
    refuses={},
    published={"set_encoder.": "set_encoder.", "generator.": "film_generator."},
)
