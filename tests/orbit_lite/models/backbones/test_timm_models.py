"""`timm:NAME`: properties of backbones for many model families; models without them are refused in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from groundwork.errors import DataError, UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.backbones import find_backbone, timm_models
from orbit_lite.models.backbones.record import CLIP_MEAN, HALVES, IMAGENET_MEAN, IMAGENET_STD
from orbit_lite.models.checkpoint import load_recognizer, save_recognizer
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.extractor import build_extractor
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

DOCS = Path(__file__).resolve().parents[4] / "docs"

# Width, according to timm's table of models (num_features, or a remaining hidden layer of the head), and a small size.
FAMILIES = {
    "mobilenetv3_small_050": (1024, 64),
    "resnet10t": (512, 64),
    "convnext_atto": (320, 64),
    "regnety_002": (368, 64),
    "repvgg_a0": (1280, 64),
    "ghostnet_050": (1280, 64),
    "efficientvit_b0": (1280, 64),
    "mobilevit_xxs": (320, 64),
    "pvt_v2_b0": (256, 64),
    "levit_128s": (384, 64),
    "mixer_s32_224": (512, 64),
    "xcit_nano_12_p16_224": (128, 64),
    "vit_tiny_patch16_224": (192, 64),
    "deit_tiny_distilled_patch16_224": (192, 64),
    "vit_small_patch14_dinov2": (384, 56),  # native: 518
    "swin_tiny_patch4_window7_224": (768, 56),
}
# One of each kind of norm and attention; the others are in the long tests
QUICK = ("resnet10t", "convnext_atto", "vit_tiny_patch16_224", "levit_128s", "swin_tiny_patch4_window7_224")
LEARNER = LearnerConfig(name="film", head="proto", adapter="generator", extractor="learned")


def frames(count: int, size_px: int, seed: int = 0) -> Tensor:
    """Coarse patches, because all noise looks the same to a network."""
    patches = 255 * torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(patches, size=(size_px, size_px), mode="nearest").to(torch.uint8)


@pytest.fixture(
    scope="module", params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]
)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recognizer(family: str) -> Iterator[Recognizer]:
    """CNAPs' adapter on a learned extractor, in float64; norms are far from 1 and 0, because at these some networks
    ignore the image."""
    built = build_recognizer(LEARNER, f"timm:{family}", weights="random", frame_size_px=FAMILIES[family][1]).double()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in [
            *film_parameters(built.extractor).values(),
            *built.adapter.parts()["FiLM generator"].parameters(),
        ]:
            value.add_(0.3 * torch.randn(value.shape, generator=draw, dtype=torch.float64))
    yield built


def test_features_have_the_width_it_says_and_do_not_depend_on_the_batch(family: str, recognizer: Recognizer) -> None:
    width, size_px = FAMILIES[family]
    images = frames(3, size_px)
    recognizer.train()
    with torch.no_grad():
        together, alone = recognizer.extractor(images), recognizer.extractor(images[1:2])
    assert together.shape == (3, width) and recognizer.extractor.width == width
    assert (together[1:2] - alone).norm() <= 1e-9 * (together - together.mean(dim=0)).norm()


def test_exact_is_full(family: str, recognizer: Recognizer) -> None:
    """Through FiLM, the set encoder and every weight of the network."""
    size_px = FAMILIES[family][1]
    labels = torch.tensor([0, 1, 0])
    task = TaskPixels(frames(3, size_px), labels, frames(2, size_px, seed=1), torch.tensor([1, 0]), way=2)
    found: dict[Any, dict[str, Tensor]] = {}
    for estimator in ("full", "exact"):
        recognizer.zero_grad(set_to_none=True)
        rng, chunks = np.random.default_rng(0), Chunks(2, 2, 1)
        task_gradient(recognizer, task, h=1, rng=rng, estimator=estimator, chunks=chunks)  # type: ignore[arg-type]
        gradients = {name: value.grad for name, value in recognizer.named_parameters()}
        found[estimator] = {name: value.clone() for name, value in gradients.items() if value is not None}
    # parameters that FiLM replaces get their gradient through the state; all others must have one
    assert found["exact"].keys() == found["full"].keys() == {name for name, _ in recognizer.named_parameters()}
    whole = torch.cat([value.flatten() for value in found["full"].values()])
    apart = torch.cat([(found["exact"][name] - value).flatten() for name, value in found["full"].items()])
    assert 0 < whole.norm() < torch.inf
    assert apart.norm() < 1e-9 * whole.norm()


def test_the_docs_name_the_families_tried() -> None:
    text = (DOCS / "learners.md").read_text()
    assert [name for name in FAMILIES if f"`{name}`" not in text] == []


def test_statistics_license_and_hub_are_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    dinov2, clip = (
        find_backbone("timm:vit_small_patch14_dinov2"),
        find_backbone("timm:vit_base_patch32_clip_224.laion2b"),
    )
    assert (dinov2.mean, dinov2.std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert clip.mean == CLIP_MEAN
    assert find_backbone("timm:vit_tiny_patch16_224").mean == HALVES
    assert find_backbone("timm:mobilevit_xxs", frame_size_px=64).std == (1, 1, 1)
    assert dinov2.name == "timm:vit_small_patch14_dinov2.lvd142m" == find_backbone(dinov2.name).name
    assert "apache-2.0" in dinov2.license
    asked = []
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *where: asked.append(where) or __file__)
    assert dinov2.fetch is not None and dinov2.fetch() == Path(__file__)
    assert asked == [("timm/vit_small_patch14_dinov2.lvd142m", "model.safetensors")]
    with pytest.raises(UsageError, match="has no pretrained weights; use --weights random"):
        build_extractor("timm:ghostnet_050", weights="pretrained", frame_size_px=64)


def test_dinov2_takes_224_pixels_and_its_own_518(monkeypatch: pytest.MonkeyPatch) -> None:
    for size_px, tokens in ((224, 257), (518, 1370)):  # 16 * 16 and 37 * 37 patches, and the class token
        net = find_backbone("timm:vit_small_patch14_dinov2", frame_size_px=size_px).build()
        assert net.pos_embed.shape == (1, tokens, 384)


@pytest.mark.parametrize(
    "name",
    [
        "convnext_atto",  # head.norm stays, head.fc goes
        "levit_128s",  # two classifiers, each with its own norm
        "deit_tiny_distilled_patch16_224",  # two classifiers
        "vit_tiny_patch16_224",  # position embeddings of another size
    ],
)
def test_a_timm_file_is_loaded_without_its_classifier(name: str, tmp_path: Path) -> None:
    import timm

    whole = timm.create_model(name, pretrained=False, num_classes=3)
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    size_px = 64 if name == "vit_tiny_patch16_224" else 224
    loaded = build_extractor(f"timm:{name}", weights=tmp_path / "w.pth", frame_size_px=size_px)
    same = {key for key, value in loaded.net.state_dict().items() if value.equal(whole.state_dict()[key])}
    assert loaded.net.state_dict().keys() - same == ({"pos_embed"} if size_px == 64 else set())
    torch.save({**whole.state_dict(), "extra": torch.ones(1)}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"1 unknown \(extra\)"):
        build_extractor(f"timm:{name}", weights=tmp_path / "w.pth", frame_size_px=size_px)


def test_a_checkpoint_names_its_timm_model(tmp_path: Path) -> None:
    """With its tag, because pixel statistics depend on it, and timm's default can change."""
    built = build_recognizer("protonets", "timm:mobilenetv3_small_050", weights="random", frame_size_px=64)
    save_recognizer(tmp_path / "x.safetensors", built, config={})
    for asked in (None, "timm:mobilenetv3_small_050", "timm:mobilenetv3_small_050.lamb_in1k"):
        loaded = load_recognizer(tmp_path / "x.safetensors", backbone=asked)
        assert loaded.extractor.backbone.name == "timm:mobilenetv3_small_050.lamb_in1k"
    assert loaded.embed(frames(2, 64)).equal(built.embed(frames(2, 64)))
    with pytest.raises(UsageError, match=r"expected backbone timm:resnet10t.c3_in1k"):
        load_recognizer(tmp_path / "x.safetensors", backbone="timm:resnet10t")


@pytest.mark.parametrize(
    ("name", "size_px", "words"),
    [
        ("timm:convnext_ato", 224, r"timm .* has no such model; similar names: convnext_atto, "),
        ("timm:qqq", 224, r"timm .* has no such model; timm.list_models"),
        ("timm:convnext_atto.d3_in1k", 224, r"no weights 'd3_in1k' of convnext_atto; known: d2_in1k"),
        (
            "timm:crossvit_9_240",
            96,
            r"timm:crossvit_9_240.in1k can't take frames of 96 px \(.*its native size is 240 px",
        ),
        ("timm:inception_v3", 64, r"timm:inception_v3.* can't take frames of 64 px \("),
        (
            "convnext_atto",
            224,
            r"unknown backbone 'convnext_atto' \(did you mean 'timm:convnext_atto'\?\); known: tiny, ",
        ),
    ],
)
def test_unusable_models_are_refused_in_one_line(name: str, size_px: int, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        build_extractor(name, weights="random", frame_size_px=size_px)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500


class Odd(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Any:
        return self.net(images)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (nn.Conv2d(3, 4, 32), r"returns \(1, 4, 33, 33\) for an image; expected one row of features"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 32), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()),
            r"net.1 normalizes over the batch, so an image's features depend on other images",
        ),
    ],
)
def test_a_network_without_the_required_properties_is_refused(
    net: nn.Module, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm_models, "timm_net", lambda name, **options: Odd(net).to("meta"))
    timm_models.timm_backbone.cache_clear()
    with pytest.raises(UsageError, match=words):
        find_backbone("timm:resnet10t", frame_size_px=64)
    timm_models.timm_backbone.cache_clear()


def test_film_is_refused_where_there_are_no_norms() -> None:
    build_recognizer("protonets", "timm:nf_resnet26", weights="random", frame_size_px=64)
    with pytest.raises(UsageError, match=r"FiLM has nothing to adapt: no BatchNorm.*use a learner without FiLM"):
        build_recognizer("simple_cnaps", "timm:nf_resnet26", weights="random", frame_size_px=64)


def test_film_excludes_norms_that_change_sizes_between_blocks() -> None:
    extractor = build_extractor("timm:swin_tiny_patch4_window7_224", weights="random", frame_size_px=56)
    names = list(film_parameters(extractor))
    # 12 blocks with two norms, the patch embedding's and the final one; the three of patch merging are excluded
    assert len(names) == 2 * (12 * 2 + 2)
    assert not any("downsample" in name for name in names)
