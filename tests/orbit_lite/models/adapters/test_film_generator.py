"""FiLM: its parameters, its formula, and that the extractor never changes."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.backbones import BACKBONES
from orbit_lite.models.extractor import build_extractor
from orbit_lite.models.recognizer import build_recognizer

SIZE_PX = 32

# The number of tensors, and some names in order, derived by hand from each network's table of blocks. A backbone
# without a row fails a test.
EXPECTED: dict[str, tuple[int, list[str]]] = {
    "tiny": (8, ["1.bias", "1.weight", "13.bias", "13.weight", "5.bias"]),  # 4 norms
    "efficientnet_b0": (34, ["blocks.1.0.bn2.bias", "blocks.1.0.bn2.weight", "blocks.1.1.bn2.bias"]),  # 15 blocks, 2
    "efficientnet_lite0": (34, ["blocks.1.0.bn2.bias", "blocks.1.0.bn2.weight", "blocks.1.1.bn2.bias"]),  # like B0
    # 2 plain, 8 edge and 30 inverted residual blocks, and 2 at the root
    "efficientnet_v2_s": (84, ["blocks.0.0.bn1.bias", "blocks.0.0.bn1.weight", "blocks.0.1.bn1.bias"]),
    "vit_s_32": (50, ["blocks.0.norm1.bias", "blocks.0.norm1.weight", "blocks.0.norm2.bias"]),  # 12 blocks of 2, and 1
    "vit_b_32": (50, ["blocks.0.norm1.bias", "blocks.0.norm1.weight", "blocks.0.norm2.bias"]),
    "vit_b_32_clip": (50, ["blocks.0.norm1.bias", "blocks.0.norm1.weight", "blocks.0.norm2.bias"]),
    "resnet18": (34, ["bn1.bias", "bn1.weight", "layer1.0.bn1.bias"]),  # the stem, and 8 blocks of 2
}


def frames(count: int, seed: int = 0, clip: tuple[int, ...] = ()) -> Tensor:
    shape = (count, *clip, 3, SIZE_PX, SIZE_PX)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def make_adapter(*, r: float = 1.0) -> FilmAdapter:
    """An adapter for `tiny`, with r drawn around 0 with this spread."""
    recognizer = build_recognizer("cnaps", "tiny", weights="random", frame_size_px=SIZE_PX)
    adapter = recognizer.adapter
    assert isinstance(adapter, FilmAdapter)
    for number, vector in enumerate(adapter.generator.regularizers):
        torch.nn.init.normal_(vector, std=r, generator=torch.Generator().manual_seed(number))
    return adapter


@pytest.mark.parametrize("name", BACKBONES)
def test_which_parameters_and_in_which_order(name: str) -> None:
    extractor = build_extractor(name, weights="random")
    names = list(film_parameters(extractor))
    count, some = EXPECTED[name]
    assert len(names) == count
    assert names == sorted(names)
    places = [names.index(one) for one in some]
    assert places == list(range(places[0], places[0] + len(some)))
    norms = (torch.nn.BatchNorm2d, torch.nn.GroupNorm, torch.nn.LayerNorm)
    owners = {one.rpartition(".")[0] for one in names}
    assert all(isinstance(extractor.net.get_submodule(owner), norms) for owner in owners)
    assert len(owners) == count // 2
    assert not any(word in one for one in names for word in ("norm_pre", "downsample", "blocks.0.0.bn2"))


def test_efficientnet_b0s_as_published() -> None:
    names = list(film_parameters(build_extractor("efficientnet_b0", weights="random")))
    assert names[-4:] == ["bn1.bias", "bn1.weight", "bn2.bias", "bn2.weight"]
    assert not any(name.startswith("blocks.0.") for name in names)  # depthwise-separable: none
    assert all(".bn2." in name for name in names if name.startswith("blocks."))


def test_ten_comes_before_two() -> None:
    names = list(film_parameters(build_extractor("vit_s_32", weights="random")))
    assert names.index("blocks.10.norm1.bias") < names.index("blocks.2.norm1.bias")


def test_cnaps_on_efficientnet_b0_has_as_many_parameters_as_published() -> None:
    recognizer = build_recognizer("cnaps", "efficientnet_b0", weights="random")
    assert sum(value.numel() for value in recognizer.parameters()) == 10_575_489


def test_a_state_is_scale_and_shift_of_the_extractors_own() -> None:
    """weight = w0 (1 + r g), bias = b0 + r g, with g from the mean over the whole support set."""
    extractor, adapter = (
        build_extractor("tiny", weights="random", frame_size_px=SIZE_PX).double(),
        make_adapter().double(),
    )
    own = {name: value + 0.5 for name, value in extractor.net.state_dict().items()}  # untrained biases are all 0
    extractor.net.load_state_dict(own)
    with torch.no_grad():
        encodings = adapter.encode(extractor, frames(5))
        film = adapter.film(extractor, encodings)
        embedding = sum(encodings) / 5  # type: ignore[arg-type]
        assert list(film) == list(film_parameters(extractor))
        for number, (name, value) in enumerate(film.items()):
            block, r = adapter.generator.generators[number].block, adapter.generator.regularizers[number]
            hidden = torch.nn.functional.layer_norm(
                block[0].weight @ embedding + block[0].bias, (64,), block[1].weight, block[1].bias
            )
            change = r * (block[3].weight @ hidden.clamp(min=0) + block[3].bias)
            expected = own[name] * (1 + change) if name.endswith("weight") else own[name] + change
            torch.testing.assert_close(value, expected)
            assert (value - own[name]).abs().max() > 0.01


def test_r_of_zero_gives_the_plain_extractor() -> None:
    extractor, adapter = build_extractor("tiny", weights="random", frame_size_px=SIZE_PX), make_adapter(r=0)
    with torch.no_grad():
        film = adapter.film(extractor, adapter.encode(extractor, frames(4)))
        assert extractor.encode(frames(3), state=film).equal(extractor.encode(frames(3)))


def test_two_tasks_states_at_once_and_the_extractor_is_never_changed() -> None:
    extractor, adapter = build_extractor("tiny", weights="random", frame_size_px=SIZE_PX), make_adapter()
    before = {name: value.clone() for name, value in extractor.state_dict().items()}
    queries = frames(3, seed=9)
    with torch.no_grad():
        plain = extractor.encode(queries)
        alice, bob = (adapter.film(extractor, adapter.encode(extractor, frames(4, seed))) for seed in (1, 2))
        of_alice, of_bob = extractor.encode(queries, state=alice), extractor.encode(queries, state=bob)
        assert extractor.encode(queries, state=alice).equal(of_alice)
        assert extractor.encode(queries).equal(plain)
    pairs = [(of_alice, plain), (of_bob, plain), (of_alice, of_bob)]
    assert all((one - other).norm() > 1e-3 * other.norm() for one, other in pairs)
    assert all(value.equal(before[name]) for name, value in extractor.state_dict().items())


def test_a_clips_encoding_is_the_mean_of_its_frames() -> None:
    extractor, adapter = (
        build_extractor("tiny", weights="random", frame_size_px=SIZE_PX).double(),
        make_adapter().double(),
    )
    clips = frames(3, clip=(4,))
    with torch.no_grad():
        expected = adapter.encode(extractor, clips.flatten(0, 1)).reshape(3, 4, 64).mean(dim=1)
        torch.testing.assert_close(adapter.encode(extractor, clips), expected)


def test_the_penalty_is_on_the_sum_of_r_squared() -> None:
    adapter = make_adapter()
    expected = sum(float(r.detach().square().sum()) for r in adapter.generator.regularizers)
    assert adapter.squares().item() == pytest.approx(expected)


def test_an_untrained_adapter_hardly_changes_the_extractor() -> None:
    recognizer = build_recognizer("cnaps", "tiny", weights="random", frame_size_px=SIZE_PX)
    assert isinstance(recognizer.adapter, FilmAdapter)
    r = torch.cat(list(recognizer.adapter.generator.regularizers))
    assert r.std().item() == pytest.approx(0.001, rel=0.1)
    with torch.no_grad():
        film = recognizer.adapter.film(recognizer.extractor, recognizer.adapter.encode(recognizer.extractor, frames(4)))
    plain, adapted = recognizer.embed(frames(3)), recognizer.embed(frames(3), state=film)
    assert 0 < (plain - adapted).norm() < 0.05 * plain.norm()
