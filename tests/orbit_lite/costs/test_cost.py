"""Costs of a recognizer: parameters by part, and measurements of the work alone."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from orbit_lite.config import builtin_names
from orbit_lite.costs.cost import Measurements, TaskSize, cost, cost_text, part_sizes
from orbit_lite.models.recognizer import Recognizer, build_recognizer

CPU = torch.device("cpu")
SMALL = TaskSize(way=2, support=4)


def tiny(learner: str = "protonets") -> Recognizer:
    return build_recognizer(learner, "tiny", weights="random", frame_size_px=32)


class Clock:
    """A clock that only advances when told to."""

    now_s = 0.0


class Slow(Recognizer):
    """Takes 0.4 s by the clock and 64 MB to personalize."""

    def personalize(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        Clock.now_s += 0.4
        torch.ones(16_000_000).sum()
        return super().personalize(*arguments, **options)  # type: ignore[arg-type]


def slow() -> Recognizer:
    usual = tiny()
    return Slow(extractor=usual.extractor, head=usual.head, learner=usual.learner)


def test_parameters_are_the_published_number() -> None:
    sizes = part_sizes(build_recognizer("cnaps", "efficientnet_b0", weights="random"))
    by_part = {size.part: (size.learned, size.frozen) for size in sizes}
    assert by_part["head"] == (4_920_325, 0)  # Versa for 1,280 features
    assert by_part["extractor"][0] == 0
    assert sum(sum(size) for size in by_part.values()) == 10_575_489  # published code, CNAPs on EfficientNet-B0


@pytest.mark.parametrize("learner", builtin_names("learner"))
def test_parts_hold_every_parameter_once(learner: str) -> None:
    recognizer = tiny(learner)
    sizes = part_sizes(recognizer)
    assert sum(size.learned + size.frozen for size in sizes) == sum(p.numel() for p in recognizer.parameters())
    assert sum(size.learned for size in sizes) == sum(p.numel() for p in recognizer.parameters() if p.requires_grad)


def test_counting_alone_measures_nothing() -> None:
    found = cost(partial(tiny, "cnaps"), SMALL, device=CPU, repeats=0)
    assert found.measured is None
    assert "Measured" not in cost_text(found)


def test_text_has_a_table_for_each_count_and_one_of_what_was_measured() -> None:
    found = replace(
        cost(tiny, SMALL, device=CPU, repeats=0), measured=Measurements("a device", 2, 3, 0.123456, 0.01, 1234.5)
    )
    title, personalize, frame, parameters, measured = cost_text(found).split("\n\n")
    assert title == "protonets on tiny, 2 objects, 4 support frames of 32 px"
    assert personalize.splitlines()[0] == "MACs to personalize"
    assert f"{found.content()['macs_to_personalize']:,}" in personalize
    assert f"{found.content()['macs_a_frame']:,}" in frame
    assert [line.split() for line in parameters.splitlines()[:3]] == [
        ["Parameters"],
        ["part", "learned", "frozen"],
        ["extractor", "385,208", "0"],
    ]
    assert measured.splitlines()[0] == "Measured on a device, 2 CPU threads, median of 3"
    assert [line.split()[-1] for line in measured.splitlines()[2:4]] == ["0.1235", "0.01"]
    assert measured.endswith("1,234 MB\n")
    unknown = replace(found, measured=replace(found.measured, peak_memory_mb=None))
    assert "not known on this system" in cost_text(unknown)


def test_counts_depend_on_the_size_of_the_task() -> None:
    four, eight = (cost(tiny, TaskSize(2, n), device=CPU, repeats=0).content() for n in (4, 8))
    assert eight["macs_to_personalize"] == 2 * four["macs_to_personalize"]
    assert eight["macs_a_frame"] == four["macs_a_frame"]


@pytest.mark.usefixtures("spawned")
def test_seconds_and_memory_are_of_personalizing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orbit_lite.costs.measuring.clock_s", lambda _: Clock.now_s)
    found = cost(slow, SMALL, device=CPU, repeats=3).measured
    assert found is not None
    assert (found.personalize_s, found.frame_s) == (pytest.approx(0.4), 0)
    if found.peak_memory_mb is not None:
        assert 60 < found.peak_memory_mb < 200


def test_what_is_written_reads_back_as_json() -> None:
    found = cost(tiny, SMALL, device=CPU, repeats=0)
    content = json.loads(json.dumps(found.content()))
    assert content["macs_to_personalize"] == sum(part["ours"] for part in content["personalize_macs"])
    assert content["parameters_in_all"] == 385_208
    assert (content["learner"], content["backbone"], content["task"]) == ("protonets", "tiny", {"way": 2, "support": 4})


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    found = cost(tiny, TaskSize(2, 64), device=torch.device("cuda"), repeats=3).measured
    assert found is not None and found.peak_memory_mb is not None
    # 64 frames in one chunk: as bytes and as floats
    assert found.peak_memory_mb * 1e6 > 64 * 3 * 32 * 32 * 5
    assert found.device != "cuda"
