"""Properties of all adapters in the table. The computations of each are tested in its own file."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from groundwork.errors import UsageError
from orbit_lite.config import parse_config
from orbit_lite.costs.macs import personalize_macs
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters import ADAPTERS, find_adapter
from orbit_lite.models.adapters.none import RECORD as NONE
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import count_macs
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.heads.fitting import every_tensor
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

SIZE_PX, WAY = 32, 3
LABELS = torch.tensor([0, 1, 2, 0, 1])


@dataclass(frozen=True)
class Facts:
    """An adapter's expected facts, repeated here. heads: those that it fits itself. parts: in tables of costs."""

    shares_features: bool
    passes_gradient: bool
    meta_learned: bool
    heads: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


# An adapter without a row fails a test.
FACTS = {
    "none": Facts(shares_features=True, passes_gradient=True, meta_learned=False),
    "generator": Facts(
        shares_features=False, passes_gradient=True, meta_learned=True, parts=("set encoder", "FiLM generator")
    ),
    "proximal": Facts(shares_features=False, passes_gradient=True, meta_learned=False, heads=("linear",)),
    "inner_loop": Facts(shares_features=False, passes_gradient=True, meta_learned=False, heads=("linear",)),
    "steps": Facts(shares_features=False, passes_gradient=False, meta_learned=False, heads=("linear",)),
}


def frames(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8, generator=generator)


@pytest.fixture(params=ADAPTERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def learner_of(name: str, extractor: str = "frozen") -> LearnerConfig:
    head = (*ADAPTERS[name].heads, "proto")[0]
    # a few steps are enough to test the properties
    settings = {"residual": None} if name == "proximal" else {}
    return LearnerConfig(
        name=name, adapter=name, head=head, extractor=extractor, steps=3, step_lr=0.1, adapter_settings=settings
    )


@pytest.fixture
def recognizer(name: str) -> Recognizer:
    built = build_recognizer(learner_of(name), "tiny", weights="random", frame_size_px=SIZE_PX)
    for part in built.adapter.parts().values():  # otherwise an untrained generator would hardly change anything
        for key, value in part.named_parameters():
            if "regularizers" in key:
                torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(0))
    return built.double()


def test_every_adapter_has_a_row_and_a_name(name: str, recognizer: Recognizer) -> None:
    assert FACTS.keys() == ADAPTERS.keys()
    facts, record = FACTS[name], find_adapter(name)
    assert (record.name, record.heads) == (name, facts.heads)
    assert (record.passes_gradient, record.learns({})) == (facts.passes_gradient, facts.meta_learned)
    assert recognizer.shares_features == facts.shares_features
    assert tuple(recognizer.adapter.parts()) == facts.parts
    learned = [key for key, value in recognizer.named_parameters() if key.startswith("adapter.")]
    assert bool(learned) == facts.meta_learned


def test_an_unknown_adapter_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown adapter 'generate' \(did you mean 'generator'\?\); known: none, "):
        find_adapter("generate")
    for learner, words in (
        (
            {"adapter": "film"},
            "adapter: unknown adapter 'film'; known: none, generator, steps, inner_loop, proximal$",
        ),
        ({"adapter_settings": {"steps": 3}}, "x: adapter_settings: unknown key 'steps'"),
        ({"adapter": "steps"}, "adapter 'steps' only works with head 'linear'"),
        ({"adapter": "steps", "head": "linear", "extractor": "learned"}, "adapter 'steps' passes no gradient"),
        (
            {"adapter": "generator", "head": "logistic"},
            "'logistic' passes no gradient.*meta-learned adapter .'generator'",
        ),
    ):
        with pytest.raises(UsageError, match=words):
            parse_config({"head": "proto", "extractor": "frozen", **learner}, LearnerConfig, where="x")


@pytest.mark.parametrize("missing", [field.name for field in dataclasses.fields(AdapterRecord)])
def test_a_fact_that_is_missing_is_an_error(missing: str) -> None:
    facts = {field.name: getattr(NONE, field.name) for field in dataclasses.fields(AdapterRecord)}
    del facts[missing]
    with pytest.raises(TypeError, match=missing):
        AdapterRecord(**facts)


def test_fitting_gives_a_state_of_the_shapes_it_says_and_changes_nothing(name: str, recognizer: Recognizer) -> None:
    before = {key: value.clone() for key, value in recognizer.state_dict().items()}
    adapter, extractor = recognizer.adapter, recognizer.extractor
    with torch.no_grad():
        adapted = adapter.fit(extractor, frames(5), LABELS, way=WAY, videos=None, chunks=Chunks(2, 2, 2))
        again = adapter.fit(extractor, frames(5), LABELS, way=WAY, videos=torch.arange(5), chunks=Chunks(9, 9, 9))
    shapes = {key: tuple(value.shape) for key, value in (adapted.state or {}).items()}
    assert shapes == dict(adapter.state_shapes(extractor))
    for key, value in (adapted.state or {}).items():
        assert not value.requires_grad
        torch.testing.assert_close(value, (again.state or {})[key])
    assert (adapted.head is not None) == bool(FACTS[name].heads)
    assert all(value.equal(before[key]) for key, value in recognizer.state_dict().items())
    assert all(value.grad is None for value in recognizer.parameters())


def test_features_are_shared_exactly_where_the_adapter_says(name: str, recognizer: Recognizer) -> None:
    queries = frames(4, seed=9)
    one = recognizer.personalize(frames(5, seed=1), LABELS).embed(queries)
    other = recognizer.personalize(frames(5, seed=2), LABELS).embed(queries)
    assert one.equal(other) == FACTS[name].shares_features


def test_personalizing_is_the_adapters_fit_and_then_the_heads(name: str, recognizer: Recognizer) -> None:
    """The head from the adapter, or the learner's head fitted to the adapted extractor's features."""
    fitted = recognizer.personalize(frames(5), LABELS)
    with torch.no_grad():
        adapted = recognizer.adapter.fit(
            recognizer.extractor, frames(5), LABELS, way=WAY, videos=None, chunks=recognizer.chunks
        )
        features = recognizer.embed(frames(5), state=adapted.state)
        head = adapted.head or recognizer.head.fit(features, LABELS, way=WAY)
    assert all(every_tensor(fitted.head)[key].equal(value) for key, value in every_tensor(head).items())


def test_macs_are_those_of_what_runs(recognizer: Recognizer) -> None:
    recognizer = recognizer.float()
    counted = personalize_macs(recognizer, way=WAY, support=5)
    assert sum(part.ours for part in counted) == count_macs(lambda: recognizer.personalize(frames(5), LABELS))
    assert all(part.leaderboard > 0 for part in counted)


def test_a_gradient_passes_exactly_where_the_record_says(name: str) -> None:
    task = TaskPixels(frames(5), LABELS, frames(3, seed=1), torch.tensor([0, 1, 2]), WAY)
    if not FACTS[name].passes_gradient:
        recognizer = build_recognizer(learner_of(name), "tiny", weights="random", frame_size_px=SIZE_PX)
        recognizer.extractor.requires_grad_(True)  # as a composition by hand can be
        with pytest.raises(UsageError, match="nothing to meta-train"):
            task_gradient(recognizer, task, h=1, rng=np.random.default_rng(0))
        return
    recognizer = build_recognizer(learner_of(name, "learned"), "tiny", weights="random", frame_size_px=SIZE_PX)
    estimator: Estimator = "exact" if name == "proximal" else "lite"
    task_gradient(recognizer, task, h=1, rng=np.random.default_rng(0), estimator=estimator)
    assert all(value.grad is not None and value.grad.isfinite().all() for value in recognizer.parameters())
