"""MAML's adapter: its fit, compared with a plain loop over a copy of the network, and invalid settings."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundwork.errors import UsageError
from orbit_lite.config import parse_config
from orbit_lite.costs.cost import part_sizes
from orbit_lite.costs.macs import frame_macs, personalize_macs
from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.adapters.inner_loop import InnerLoopAdapter, InnerLoopSettings
from orbit_lite.models.backbones.tiny import TINY
from orbit_lite.models.counting import count_macs, total
from orbit_lite.models.extractor import Extractor, build_extractor
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer

SIZE_PX, STEPS, RATE, SCALE = 32, 4, 2**-6, 2**-3  # rates that are exact in float32
LABELS = torch.tensor([0, 1, 2, 0, 1])


def frames(count: int = 5, clip: tuple[int, ...] = ()) -> Tensor:
    shape = (count, *clip, 3, SIZE_PX, SIZE_PX)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def config(settings: dict[str, Any], **changed: Any) -> LearnerConfig:
    plain = {"adapter": "inner_loop", "head": "linear", "extractor": "learned", "steps": STEPS, "step_lr": RATE}
    return parse_config({**plain, "adapter_settings": settings, **changed}, LearnerConfig, where="x")


def recognizer_of(settings: dict[str, Any], **changed: Any) -> Recognizer:
    built = build_recognizer(config(settings, **changed), "tiny", weights="random", frame_size_px=SIZE_PX)
    return built.double()


@pytest.mark.parametrize("adapts", ["all", "film"])
@pytest.mark.parametrize("start", ["zeros", "prototypes"])
def test_it_is_a_plain_loop_over_a_copy(adapts: str, start: str) -> None:
    recognizer = recognizer_of({"adapts": adapts, "start": start, "extractor_lr_scale": SCALE})
    extractor = recognizer.extractor
    copied = copy.deepcopy(extractor)
    layer = nn.Linear(copied.width, 3).double()
    with torch.no_grad():
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        if start == "prototypes":
            features = copied(frames())
            for c in range(3):
                mean = features[c == LABELS].mean(dim=0)
                layer.weight[c], layer.bias[c] = 2 * mean, -mean @ mean
    moving = list(film_parameters(copied).values()) if adapts == "film" else list(copied.net.parameters())
    groups = [{"params": moving, "lr": SCALE * RATE}, {"params": list(layer.parameters()), "lr": RATE}]
    optimizer = torch.optim.SGD(groups)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(layer(copied(frames())), LABELS).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    fitted = recognizer.personalize(frames(), LABELS, chunk=2)
    torch.testing.assert_close(fitted.logits(frames()), layer(copied(frames())).detach())
    after = dict(copied.net.named_parameters())
    assert fitted.state is not None
    assert fitted.state.keys() == (film_parameters(extractor) if adapts == "film" else after).keys()
    for name, value in fitted.state.items():
        torch.testing.assert_close(value, after[name].detach())
        assert not value.equal(extractor.net.get_parameter(name))


def test_clips_count_as_items() -> None:
    recognizer = recognizer_of({})
    clips = frames(clip=(2,))
    whole, cut = (recognizer.personalize(clips, LABELS, chunk=chunk).logits(clips) for chunk in (100, 1))
    torch.testing.assert_close(whole, cut)
    doubled = frames()[:, None].expand(-1, 2, -1, -1, -1)  # a clip of the same frame twice equals that frame
    one, other = (recognizer.personalize(items, LABELS).logits(clips) for items in (frames(), doubled))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"steps": 0}, "steps: Input should be greater than or equal to 1, got 0"),
        ({"adapter_settings": {"adapts": "head"}}, r"adapts: an inner loop of the head alone needs no adapter.*anil"),
        ({"adapter_settings": {"adapts": "norms"}}, "adapts: Input should be 'all' or 'film'"),
        ({"adapter_settings": {"window": 0}}, "window: Input should be greater than or equal to 1"),
        ({"adapter_settings": {"multi_step_loss": 1.5}}, "multi_step_loss: Input should be less than or equal to 1"),
        ({"adapter_settings": {"windows": 2}}, r"unknown key 'windows' \(did you mean 'window'\?\)"),
        ({"head": "proto"}, "adapter 'inner_loop' only works with head 'linear'"),
    ],
)
def test_invalid_settings_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        config(
            changed.get("adapter_settings", {}),
            **{key: value for key, value in changed.items() if key != "adapter_settings"},
        )


def test_a_network_that_can_not_adapt_is_refused() -> None:
    learner, film = config({}), InnerLoopSettings(adapts="film")
    bare = build_extractor("tiny", weights="random", frame_size_px=SIZE_PX)
    bare.backbone = replace(TINY, norms=lambda net: [])
    with pytest.raises(UsageError, match="backbone tiny has no norm layers for FiLM to adapt; use adapts: all"):
        InnerLoopAdapter(learner, film, bare)
    InnerLoopAdapter(learner, InnerLoopSettings(), bare)
    batch_norm = nn.BatchNorm2d(24, track_running_stats=False)
    without = Extractor(TINY, nn.Sequential(nn.Conv2d(3, 24, 3), batch_norm), frame_size_px=SIZE_PX)
    with pytest.raises(UsageError, match="BatchNorm 1 has no running statistics"):
        InnerLoopAdapter(learner, InnerLoopSettings(), without)


def test_what_is_meta_trained_depends_on_extractor_and_rates() -> None:
    assert config({}).meta_learned
    assert config({"learned_rates": True}, extractor="frozen").meta_learned
    assert not config({}, extractor="frozen").meta_learned  # then it is a fine-tuner
    sizes = {size.part: (size.learned, size.frozen) for size in part_sizes(recognizer_of({"learned_rates": True}))}
    assert sizes["inner rates"] == (2 * STEPS, 0)
    assert "inner rates" not in {size.part for size in part_sizes(recognizer_of({}))}


@pytest.mark.parametrize("settings", [{}, {"window": 3}, {"start": "prototypes"}, {"adapts": "film"}])
def test_macs_are_those_of_what_runs(settings: dict[str, Any]) -> None:
    recognizer = recognizer_of(settings).float()
    parts = personalize_macs(recognizer, way=3, support=5)
    assert total(parts).ours == count_macs(lambda: recognizer.personalize(frames(), LABELS))
    # the leaderboard's rule: each step encodes every frame, forward and backward; 4 steps in windows of 3 are 2 windows
    frame, means = frame_macs(recognizer, way=3)[0].leaderboard, 3 * 5 * 256
    steps = (2 if "window" in settings else STEPS) * 5 * (2 * frame + 256 + 3 * 256)
    assert total(parts).leaderboard == steps + ((5 * frame + means) if "start" in settings else 0)
