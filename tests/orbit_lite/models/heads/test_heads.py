"""Properties of all heads in the table. The computations of each are tested in its own file."""

import dataclasses
import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from groundwork.errors import UsageError
from orbit_lite.models.heads import HEADS, find_head
from orbit_lite.models.heads.fitting import FittedHead, Head, every_tensor, head_tensors, with_tensors
from orbit_lite.models.heads.prototypes import RECORD as PROTO
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord
from orbit_lite.models.learner import LearnerConfig

WAY, WIDTH = 3, 5


@dataclass(frozen=True)
class Facts:
    """The expected content of a head's record, repeated here.

    macs: the leaderboard's count of a fit to 7 items of width 256, in 3 classes with 3, 2 and 2 items. videos: whether
    the head depends on the items' videos. settings: its own settings, as in a learner's YAML.
    """

    passes_gradient: bool
    meta_learned: bool
    macs: int
    videos: bool = False
    settings: tuple[str, ...] = ()


# A head without a row fails a test. The counts are those of release 0.1.0, before heads had records.
FACTS = {
    "proto": Facts(passes_gradient=True, meta_learned=False, macs=4_117),
    "cosine": Facts(passes_gradient=True, meta_learned=False, macs=4_117, settings=("scale",)),
    "versa": Facts(passes_gradient=True, meta_learned=True, macs=592_411),
    "mahalanobis": Facts(passes_gradient=True, meta_learned=False, macs=17_391_896),
    "linear": Facts(passes_gradient=False, meta_learned=False, macs=268_800),
    # 50 steps, forward and backward, on 7 x 256 features and 3 classes
    "inner_loop": Facts(
        passes_gradient=True,
        meta_learned=False,
        macs=537_600,
        settings=("window", "start", "learned_rates", "summed_batches"),
    ),
    "logistic": Facts(passes_gradient=False, meta_learned=False, macs=0, settings=("penalty", "most_steps")),
    # by hand: class means 1,813 + matrix 12,544 + factor 114 + weights 5,523 + eigenvectors 1,543 + residuals 1,372
    "ridge": Facts(passes_gradient=True, meta_learned=False, macs=22_909, videos=True, settings=("penalty", "scale")),
    # twice 1,813 + matrix 12,544 + factor 114 + weights 10,899 + eigenvectors 1,543 + axes 12,544 + logits 1,715
    "lda": Facts(passes_gradient=True, meta_learned=False, macs=42_985, videos=True, settings=("shrinkage", "scale")),
    # class means 1,813 + four layers 786,432 + norm 3,072 + 2 p and -p.p 2,304
    "feat": Facts(passes_gradient=True, meta_learned=True, macs=793_621, settings=("dropout", "temperature")),
    # 3, 2 and 2 items: Gram matrices and axes 2 x 17 x 256, eigenvectors 121 + 36 + 36
    "subspace": Facts(passes_gradient=True, meta_learned=False, macs=8_897, settings=("rank",)),
    # 144 passes over 7 x 256 x 3
    "solved": Facts(
        passes_gradient=True,
        meta_learned=False,
        macs=774_144,
        settings=("penalty", "residual", "most_steps", "cg_tolerance", "most_cg_steps"),
    ),
}
PASSES_GRADIENT = [name for name, facts in FACTS.items() if facts.passes_gradient]


@pytest.fixture
def support() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([2, 0, 1, 0, 0, 1])
    return torch.randn(6, WIDTH, generator=generator, dtype=torch.float64), labels


@pytest.fixture
def queries() -> Tensor:
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture(params=HEADS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def head(name: str) -> Head:
    # a few large steps, since the tests are about properties, not the optimum
    return build(name, WIDTH, steps=5, step_lr=0.1)


def build(name: str, width: int, **learner: float) -> Head:
    """Build the head in float64, by default with its default settings."""
    torch.manual_seed(5)
    record = HEADS[name]
    built = record.build(LearnerConfig(head=name, extractor="frozen", **learner), record.settings(), width)
    return built.double() if isinstance(built, torch.nn.Module) else built


def test_every_head_has_a_row_and_a_name() -> None:
    assert FACTS.keys() == HEADS.keys()
    for name, record in HEADS.items():
        assert record.name == name == find_head(name).name
        facts = FACTS[name]
        assert (record.passes_gradient, record.learns({})) == (facts.passes_gradient, facts.meta_learned)
        assert tuple(record.settings.model_fields) == facts.settings
        assert record.adds_objects  # a row with False would need its own test


def test_an_unknown_head_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown head 'prota' \(did you mean 'proto'\?\); known: proto, cosine, "):
        find_head("prota")


@pytest.mark.parametrize("missing", [field.name for field in dataclasses.fields(HeadRecord)])
def test_a_fact_that_is_missing_is_an_error(missing: str) -> None:
    """Otherwise it could be another head's: macs.py once used ProtoNets' count for every unknown head."""
    facts = {field.name: getattr(PROTO, field.name) for field in dataclasses.fields(HeadRecord)}
    HeadRecord(**facts)
    del facts[missing]
    with pytest.raises(TypeError, match=missing):
        HeadRecord(**facts)


def test_leaderboard_macs_are_the_records_own(name: str) -> None:
    record, features = HEADS[name], torch.randn(7, 256, dtype=torch.float64)
    found = record.fit_macs(build(name, 256), features, torch.arange(7) % 3, way=3)
    assert found.leaderboard == FACTS[name].macs
    assert (found.ours > 0) == ("not counted" not in found.part)


def test_what_has_no_modules_can_not_be_counted_by_thops_rules() -> None:
    macs = FitMacs(ours=Count.BY_RUNNING, leaderboard=Count.BY_RUNNING)
    record = dataclasses.replace(PROTO, macs=macs)
    with pytest.raises(ValueError, match="its record needs a formula"):
        record.fit_macs(build("proto", WIDTH), torch.randn(3, WIDTH), torch.arange(3), way=3)
    # Versa's networks are modules, but the class means, which its formula adds, are not
    counted = dataclasses.replace(HEADS["versa"], macs=macs)
    features, labels = torch.randn(7, 256, dtype=torch.float64), torch.arange(7) % 3
    by_rules = counted.fit_macs(build("versa", 256), features, labels, way=3).leaderboard
    assert by_rules == FACTS["versa"].macs - (3 * 7 + 7 * 256)


def test_a_fitted_head_survives_a_file(name: str, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    record = HEADS[name]
    unusual = {
        **{"most_steps": 7, "shrinkage": 0.2, "dropout": 0.2, "rank": 7, "residual": 0.2, "most_cg_steps": 7},
        **{"window": 7, "start": "prototypes", "learned_rates": True},
    }
    settings = {key: unusual.get(key, 7.0) for key in FACTS[name].settings}  # none of these is the default
    learner = LearnerConfig(head=name, head_settings=settings, extractor="frozen")
    built = record.build(learner, record.settings(**learner.head_settings), WIDTH)
    fitted = (built.double() if isinstance(built, torch.nn.Module) else built).fit(*support, way=WAY)
    tensors, values = record.take_apart(fitted, way=WAY, width=WIDTH)
    assert tensors.keys() == every_tensor(fitted).keys() == record.shapes(WAY, WIDTH, values).keys()
    values = record.check_values(json.loads(json.dumps(values)))
    # a file stores them in index order, which affects rounding of products
    again = record.fitted(
        **{key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}, **values
    )
    # the memory alignment also does
    assert torch.allclose(again.logits(queries), fitted.logits(queries), rtol=1e-12, atol=1e-12)


def test_a_fitted_head_that_is_not_what_its_record_says_is_refused(support: tuple[Tensor, Tensor]) -> None:
    fitted = build("cosine", WIDTH).fit(*support, way=WAY)
    for wrong, words in (
        (HEADS["proto"], "head 'proto' returned a CosineClassifier"),
        (
            dataclasses.replace(HEADS["cosine"], shapes=lambda way, width, values: {"means": (way, 7)}),
            r"'means': \(3, 7",
        ),
        (dataclasses.replace(HEADS["cosine"], shapes=lambda way, width, values: {}), "says {}"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong.take_apart(fitted, way=WAY, width=WIDTH)
    for values in ({}, {"scale": 1.0, "more": 1}, {"scale": "high"}, {"scale": None}):
        with pytest.raises(ValueError):
            HEADS["cosine"].check_values(values)
    with pytest.raises(ValueError, match="a dataclass with tensors"):
        dataclasses.replace(PROTO, fitted=dict)


@pytest.mark.parametrize("name", [name for name in HEADS if not FACTS[name].videos], indirect=True)
def test_which_video_an_item_is_of_makes_no_difference(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    videos = torch.tensor([0, 1, 2, 1, 1, 3])
    with_videos = head.fit(*support, way=WAY, videos=videos)
    assert with_videos.logits(queries).equal(head.fit(*support, way=WAY).logits(queries))


def test_an_exporter_can_trace_the_logits(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    class Graph(torch.nn.Module):
        def __init__(self, fitted: FittedHead) -> None:
            super().__init__()
            self.fitted = fitted

        def forward(self, features: Tensor) -> Tensor:
            return self.fitted.logits(features)

    fitted = head.fit(*support, way=WAY)
    fitted = with_tensors(fitted, {key: value.detach() for key, value in head_tensors(fitted).items()})
    any_number = ({0: torch.export.Dim.DYNAMIC},)
    traced = torch.export.export(Graph(fitted), (queries[:2],), dynamic_shapes=any_number).module()
    torch.testing.assert_close(traced(queries), fitted.logits(queries))


@pytest.mark.parametrize("name", PASSES_GRADIENT, indirect=True)
def test_gradient_reaches_every_support_feature_and_query(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features, labels = support
    features, queries = features.clone().requires_grad_(), queries.clone().requires_grad_()
    logits = head.fit(features, labels, way=WAY).logits(queries)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for gradient in (features.grad, queries.grad):
        assert gradient is not None
        assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", sorted(HEADS.keys() - set(PASSES_GRADIENT)), indirect=True)
def test_a_head_fitted_by_steps_takes_its_features_as_given(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features, labels = support
    features = features.clone().requires_grad_()
    with torch.no_grad():  # as in personalization
        fitted = head.fit(features, labels, way=WAY)
    assert not fitted.logits(queries).requires_grad
    assert features.grad is None
    assert fitted.logits(queries).std() > 0.01  # the steps were made nevertheless


def test_all_of_its_gradient_goes_through_its_tensors(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    fitted = head.fit(support[0].clone().requires_grad_(), support[1], way=WAY)
    cut = with_tensors(fitted, {key: value.detach() for key, value in head_tensors(fitted).items()})
    torch.testing.assert_close(cut.logits(queries), fitted.logits(queries))
    assert not cut.logits(queries).requires_grad  # otherwise LITE would lose part of the gradient


def test_order_of_the_support_set_does_not_matter(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    assert_same(head.fit(features, labels, way=WAY), head.fit(features[order], labels[order], way=WAY), queries)


def test_classes_have_no_order(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    renamed = torch.tensor([1, 2, 0])  # class 0 is called 1, 1 is called 2, 2 is called 0
    one, other = head.fit(features, labels, way=WAY), head.fit(features, renamed[labels], way=WAY)
    logits = other.logits(queries)[:, renamed]
    torch.testing.assert_close(logits.softmax(dim=1), one.logits(queries).softmax(dim=1), rtol=1e-4, atol=1e-5)


def test_the_same_support_set_gives_the_same_head(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    one, other = head.fit(*support, way=WAY), head.fit(*support, way=WAY)
    assert torch.equal(one.logits(queries), other.logits(queries))


@pytest.mark.parametrize("way", [1, 2])
def test_few_classes(head: Head, support: tuple[Tensor, Tensor], queries: Tensor, way: int) -> None:
    logits = head.fit(support[0], torch.arange(6) % way, way=way).logits(queries)
    assert logits.shape == (4, way)
    assert logits.dtype == torch.float64
    assert torch.isfinite(logits).all()


# its networks need training
@pytest.mark.parametrize("name", [name for name in HEADS if name != "versa"], indirect=True)
def test_separated_classes_are_distinguished(head: Head) -> None:
    labels = torch.tensor([0, 1, 2]).repeat(4)
    noise = torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    features = 10 * torch.eye(WIDTH, dtype=torch.float64)[labels] + noise
    assert head.fit(features, labels, way=WAY).logits(features).argmax(dim=1).equal(labels)


def assert_same(one: FittedHead, other: FittedHead, queries: Tensor) -> None:
    torch.testing.assert_close(one.logits(queries), other.logits(queries), rtol=1e-5, atol=1e-5)
