"""Published checkpoints, compared with a second, independent and simple implementation of the published arithmetic.

Weights are random, and larger than trained ones if those would hide a part: with the published regularizers of about
0.001, a missing FiLM could go unnoticed. Both sides compute in float64: in EfficientNetV2-S random weights amplify
rounding about 2,000 times, to roughly 1e-4 of the logits in float32 and 1e-13 in float64. There is no published file
for `tiny`; it is tested because it is fast.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from groundwork.errors import DataError
from orbit_lite import load_recognizer
from orbit_lite.models.backbones import BACKBONES
from orbit_lite.models.backbones.tiny import tiny_net
from orbit_lite.models.checkpoint import read_checkpoint_info
from orbit_lite.models.convert import convert
from orbit_lite.models.recognizer import build_recognizer

Weights = dict[str, Tensor]
TIMM_NAMES = {  # the published code's backbones, with today's names
    "efficientnet_b0": "tf_efficientnet_b0.aa_in1k",
    "efficientnet_v2_s": "tf_efficientnetv2_s.in21k",
    "vit_s_32": "vit_small_patch32_224.augreg_in21k",
    "vit_b_32": "vit_base_patch32_224.augreg_in21k",
    "vit_b_32_clip": "vit_base_patch32_clip_224.laion2b",
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5,) * 3, (0.5,) * 3)
PIXELS = {"efficientnet_b0": IMAGENET, "vit_b_32_clip": CLIP}  # HALF for the others
SIZES_PX = {"tiny": 32, "efficientnet_b0": 64, "efficientnet_v2_s": 64}  # 224 for the others
WIDTHS = {"tiny": 256, "vit_s_32": 384, "vit_b_32": 768, "vit_b_32_clip": 768}  # 1280 for the others
LABELS = torch.tensor([0, 1, 1, 2, 2, 2])  # class 0 has one image

# Relative to the logits' spread. Measured: 2e-7 if mean and std of pixels are not powers of 2, because the kit stores
# them in float32 (the same on every processor), and 2e-13 otherwise.
TOLERANCE = 2e-6
CASES = [
    *(("tiny", learner) for learner in ("protonets", "protonets_cosine", "cnaps", "simple_cnaps")),
    *(("tiny", learner) for learner in ("finetuner", "finetuner_film")),
    *(("efficientnet_b0", learner) for learner in ("protonets", "protonets_cosine", "cnaps", "simple_cnaps")),
    ("vit_s_32", "cnaps"),
    pytest.param("efficientnet_v2_s", "cnaps", marks=pytest.mark.slow),
    pytest.param("vit_b_32", "cnaps", marks=pytest.mark.slow),
    ("vit_b_32_clip", "protonets"),
]


def test_all_five_published_extractors_are_tried() -> None:
    tried = {case.values[0] if hasattr(case, "values") else case[0] for case in CASES}
    assert tried | {"resnet18", "efficientnet_lite0"} == set(BACKBONES)


def frames(backbone: str, count: int, seed: int) -> Tensor:
    """Coarse patches, because all noise looks the same to a network."""
    patches = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    size_px = SIZES_PX.get(backbone, 224)
    return (255 * F.interpolate(patches, size=(size_px, size_px), mode="bilinear")).round().to(torch.uint8)


def published_net(backbone: str) -> nn.Module:
    return tiny_net() if backbone == "tiny" else timm.create_model(TIMM_NAMES[backbone], num_classes=0)


def pixels(images: Tensor, backbone: str) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in PIXELS.get(backbone, HALF))
    return (images.to(mean.dtype) / 255 - mean) / std


def film_names(net: nn.Module, backbone: str) -> list[str]:
    """The FiLM parameters in the order of the published generators: sorted as strings."""
    blocks = [name for name, _ in net.named_modules() if re.fullmatch(r"blocks\.\d+\.\d+", name)]
    if backbone == "efficientnet_b0":  # stage 0 is depthwise-separable and has none
        norms = ["bn1", "bn2", *(f"{block}.bn2" for block in blocks if "blocks.0." not in block)]
    elif backbone == "efficientnet_v2_s":  # stage 0 is plain convolutions, 1 and 2 edge residuals: their first
        norms = ["bn1", "bn2", *(f"{block}.bn{1 if int(block[7]) < 3 else 2}" for block in blocks)]
    elif backbone.startswith("vit"):
        norms = ["norm", *(f"blocks.{block}.norm{number}" for block in range(12) for number in (1, 2))]
    else:
        norms = [name for name, module in net.named_modules() if isinstance(module, nn.GroupNorm)]
    return sorted(f"{norm}.{part}" for norm in norms for part in ("weight", "bias"))


def random_checkpoint(backbone: str, learner: str) -> Weights:
    """A state dict with the published keys; the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        net = published_net(backbone)
        weights = random_extractor(net, backbone)
        if learner in ("cnaps", "simple_cnaps"):
            weights |= random_adapter({name: net.get_parameter(name).numel() for name in film_names(net, backbone)})
        if learner == "cnaps":
            width = WIDTHS.get(backbone, 1280)
            for part, out in (("weight", width), ("bias", 1)):
                weights |= linear(f"classifier.{part}_processor.linear1", width, out)
                weights |= linear(f"classifier.{part}_processor.linear2", out, out)
                weights |= linear(f"classifier.{part}_processor.linear3", out, out)
        return weights


@torch.no_grad()
def random_extractor(net: nn.Module, backbone: str) -> Weights:
    for value in net.parameters():
        if value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
    # as after training, BatchNorm has the statistics of images
    for norm in [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]:
        norm.register_forward_pre_hook(take_statistics)
    net.eval()(pixels(frames(backbone, 16, seed=3), backbone))
    return {f"feature_extractor.{name}": value for name, value in net.state_dict().items()}


def take_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    """Set the norm's statistics to those of its input, with a floor for the variance, because some random maps are
    nearly constant."""
    maps = inputs[0].transpose(0, 1).flatten(1)
    norm.running_mean = maps.mean(1)
    norm.running_var = maps.var(1) + 0.3 * maps.var(1).mean()


def random_adapter(film_sizes: dict[str, int]) -> Weights:
    """Set encoder and FiLM generator. BatchNorm's statistics are 0 and 1, as published."""
    weights = {}
    for layer in range(1, 6):
        start, maps_in = f"set_encoder.encoder.layer{layer}.", 3 if layer == 1 else 64
        weights[f"{start}0.weight"] = torch.randn(64, maps_in, 3, 3) * (2 / (9 * maps_in)) ** 0.5
        weights[f"{start}0.bias"] = 0.1 * torch.randn(64)
        weights |= norm(f"{start}1")
        weights[f"{start}1.running_mean"] = torch.zeros(64)
        weights[f"{start}1.running_var"] = torch.ones(64)
        weights[f"{start}1.num_batches_tracked"] = torch.tensor(0)
    for place, size in enumerate(film_sizes.values()):
        start = f"film_generator.generators.{place}.block."
        weights |= linear(f"{start}0", 64, 64) | norm(f"{start}1") | linear(f"{start}3", 64, size)
        weights[f"film_generator.regularizers.{place}"] = 0.1 * torch.randn(size)
    return weights


def norm(name: str) -> Weights:
    return {f"{name}.weight": 1 + 0.1 * torch.randn(64), f"{name}.bias": 0.1 * torch.randn(64)}


def linear(name: str, width: int, out: int) -> Weights:
    return {f"{name}.weight": torch.randn(out, width) / width**0.5, f"{name}.bias": 0.1 * torch.randn(out)}


@contextmanager
def float64() -> Iterator[None]:
    """Make new tensors and networks in the block float64, so that the reference has no rounding errors."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@torch.no_grad()
def published_logits(w: Weights, backbone: str, learner: str, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Compute the logits in the default dtype."""
    w = {name: value.to(torch.get_default_dtype()) for name, value in w.items()}
    net = published_net(backbone).eval()
    start = "feature_extractor."
    net.load_state_dict({name.removeprefix(start): value for name, value in w.items() if name.startswith(start)})
    if learner.startswith("finetuner"):
        tuned = film_names(net, backbone) if learner == "finetuner_film" else []
        return fifty_steps(net, tuned, pixels(support, backbone), labels, pixels(query, backbone))
    film = published_film(w, net, backbone, pixels(support, backbone)) if "cnaps" in learner else {}
    features = functional_call(net, film, (pixels(support, backbone),))
    x = functional_call(net, film, (pixels(query, backbone),))
    classes = [features[labels == c] for c in labels.unique()]
    means = torch.stack([of_class.mean(0) for of_class in classes])
    if learner == "protonets":
        return F.linear(x, 2 * means, -(means * means).sum(1))
    if learner == "protonets_cosine":
        return 32 * F.cosine_similarity(x[:, None], means[None], dim=2)
    if learner == "cnaps":
        return F.linear(x, versa(w, "weight", means), versa(w, "bias", means).flatten())
    of_task = covariance(features)
    logits = []
    for of_class, mean in zip(classes, means, strict=True):
        share = len(of_class) / (len(of_class) + 1)
        q = share * covariance(of_class) + (1 - share) * of_task + torch.eye(x.shape[1])
        logits.append(-((x - mean) @ torch.inverse(q) * (x - mean)).sum(1))
    return torch.stack(logits, 1)


def published_film(w: Weights, net: nn.Module, backbone: str, support: Tensor) -> Weights:
    maps = support
    for layer in range(1, 6):
        start = f"set_encoder.encoder.layer{layer}."
        maps = F.conv2d(maps, w[f"{start}0.weight"], w[f"{start}0.bias"], padding=1)
        maps = maps / (1 + 1e-5) ** 0.5 * w[f"{start}1.weight"].view(-1, 1, 1) + w[f"{start}1.bias"].view(-1, 1, 1)
        maps = F.max_pool2d(F.relu(maps), 2)
    task = maps.mean((2, 3)).mean(0)
    film = {}
    for place, name in enumerate(film_names(net, backbone)):
        block = {part: w[f"film_generator.generators.{place}.block.{part}"] for part in parts_of_block()}
        hidden = F.linear(task, block["0.weight"], block["0.bias"])
        hidden = F.relu(F.layer_norm(hidden, (64,), block["1.weight"], block["1.bias"]))
        change = w[f"film_generator.regularizers.{place}"] * F.linear(hidden, block["3.weight"], block["3.bias"])
        own = net.get_parameter(name)
        film[name] = own * (1 + change) if name.endswith("weight") else own + change
    return film


def parts_of_block() -> list[str]:
    return [f"{number}.{part}" for number in (0, 1, 3) for part in ("weight", "bias")]


def versa(w: Weights, part: str, means: Tensor) -> Tensor:
    start = f"classifier.{part}_processor.linear"
    out = F.elu(F.linear(means, w[f"{start}1.weight"], w[f"{start}1.bias"]))
    out = F.elu(F.linear(out, w[f"{start}2.weight"], w[f"{start}2.bias"]))
    out = F.linear(out, w[f"{start}3.weight"], w[f"{start}3.bias"])
    return out + means if part == "weight" else out


def covariance(items: Tensor) -> Tensor:
    """For one item it is a single number, which broadcasts over the matrix: the published quirk."""
    if len(items) > 1:
        return torch.cov(items.T)
    own = items - items.mean(1, keepdim=True)
    return (own @ own.T).squeeze() / (items.shape[1] - 1)


def fifty_steps(net: nn.Module, tuned: list[str], support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    """Train a linear layer from zeros, and these parameters of the extractor, on the full batch."""
    film = {name: net.get_parameter(name).detach().clone().requires_grad_() for name in tuned}
    width = net(query).shape[1]
    layer = [torch.zeros(3, width, requires_grad=True), torch.zeros(3, requires_grad=True)]
    optimizer = torch.optim.Adam([*film.values(), *layer], lr=1e-3)
    with torch.enable_grad():
        for _ in range(50):
            optimizer.zero_grad()
            F.cross_entropy(F.linear(functional_call(net, film, (support,)), *layer), labels).backward()
            optimizer.step()
    return F.linear(functional_call(net, film, (query,)), *layer)


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """Write a random published checkpoint, or the given weights."""

    def write(backbone: str, learner: str, weights: Weights | None = None, *, nested: bool = False) -> Path:
        weights = weights or random_checkpoint(backbone, learner)
        torch.save({"model_state_dict": weights, "epoch": 3} if nested else weights, tmp_path / "x.pth")
        return tmp_path / "x.pth"

    return write


@pytest.mark.parametrize(("backbone", "learner"), CASES)
def test_a_published_file_gives_the_published_logits(
    published: Callable[..., Path], backbone: str, learner: str
) -> None:
    weights = random_checkpoint(backbone, learner)
    labels = LABELS[:3] if backbone.startswith("vit") else LABELS
    support, query = frames(backbone, len(labels), seed=5), frames(backbone, 3, seed=6)
    path = published(backbone, learner, weights, nested=learner == "cnaps")
    recognizer = load_recognizer(path, learner=learner, backbone=backbone, frame_size_px=SIZES_PX.get(backbone, 224))
    ours = recognizer.double().personalize(support, labels).logits(query)
    with float64():
        expected = published_logits(weights, backbone, learner, support, labels, query)
    assert (ours - expected).abs().max() <= TOLERANCE * expected.std()


@pytest.mark.parametrize("learner", [learner for backbone, learner in CASES[:6]])
def test_in_float32_it_is_the_same_but_for_rounding(published: Callable[..., Path], learner: str) -> None:
    """On `tiny`, whose random weights give logits of order 1 and hardly amplify rounding."""
    weights = random_checkpoint("tiny", learner)
    support, query = frames("tiny", len(LABELS), seed=5), frames("tiny", 3, seed=6)
    recognizer = load_recognizer(
        published("tiny", learner, weights), learner=learner, backbone="tiny", frame_size_px=32
    )
    ours = recognizer.personalize(support, LABELS).logits(query)
    with float64():
        expected = published_logits(weights, "tiny", learner, support, LABELS, query)
    assert ours.dtype == torch.float32 and 0.1 < expected.std() < 10
    # measured: 1e-5; 1e-3 for the fine-tuners, because Adam's first steps depend on the signs of even tiny gradients
    assert (ours - expected).abs().max() <= (0.05 if learner.startswith("finetuner") else 1e-3) * expected.std()


@pytest.mark.parametrize("part", ["set_encoder.encoder.layer5.1.bias", "film_generator.regularizers.3"])
def test_these_weights_would_show_a_part_left_out(part: str) -> None:
    """Tests the reference; otherwise the test above could pass without FiLM."""
    weights = random_checkpoint("tiny", "cnaps")
    support, query = frames("tiny", len(LABELS), seed=5), frames("tiny", 3, seed=6)
    logits, without = (
        published_logits(w, "tiny", "cnaps", support, LABELS, query)
        for w in (weights, weights | {part: torch.zeros_like(weights[part])})
    )
    assert (logits - without).abs().max() > 0.01 * logits.std()


def test_the_quirk_of_a_class_with_one_image_is_behind_parity_only(published: Callable[..., Path]) -> None:
    path = published("tiny", "simple_cnaps")
    parity = load_recognizer(path, learner="simple_cnaps", backbone="tiny", frame_size_px=32)
    assert parity.learner is not None and parity.learner.published_quirks
    right = build_recognizer("simple_cnaps", "tiny", weights="random", frame_size_px=32)
    right.load_state_dict(parity.state_dict())
    support, query = frames("tiny", len(LABELS), seed=5), frames("tiny", 3, seed=6)
    with_quirk, without = (r.personalize(support, LABELS).logits(query) for r in (parity, right))
    # more than is tolerated above, so a missing quirk would be detected there
    assert (with_quirk - without)[:, 0].abs().max() > 1e-3 * with_quirk.std()
    assert torch.equal(with_quirk[:, 1:], without[:, 1:])


def test_keys_that_do_not_fit_are_listed_by_the_published_names(published: Callable[..., Path]) -> None:
    weights = random_checkpoint("tiny", "cnaps")
    del weights["film_generator.regularizers.0"]
    weights["set_encoder.encoder.layer9.0.bias"] = torch.zeros(64)
    weights["adapter.generator.regularizers.0"] = torch.zeros(24)  # our name is not the file's
    weights["classifier.bias_processor.linear2.weight"] = torch.zeros(2, 2)
    weights["set_encoder.encoder.layer1.1.running_var"][5] = torch.nan
    with pytest.raises(DataError) as caught:
        load_recognizer(published("tiny", "cnaps", weights), learner="cnaps", backbone="tiny")
    assert str(caught.value).endswith(
        "x.pth as cnaps on tiny: the weights do not match: 1 missing (film_generator.regularizers.0); "
        "2 unknown (set_encoder.encoder.layer9.0.bias, adapter.generator.regularizers.0); "
        "1 misshapen (classifier.bias_processor.linear2.weight (2, 2) instead of (1, 1)); "
        "1 with NaN or infinite values (set_encoder.encoder.layer1.1.running_var)"
    )


def test_a_classifier_that_the_extractor_came_with_is_ignored(published: Callable[..., Path]) -> None:
    backbone, its_own = "efficientnet_b0", {"feature_extractor.classifier.weight": torch.zeros(1000, 1280)}
    weights = random_checkpoint(backbone, "protonets") | its_own
    load_recognizer(published(backbone, "protonets", weights), learner="protonets", backbone=backbone)


def test_another_learners_file_is_refused(published: Callable[..., Path]) -> None:
    path = published("tiny", "cnaps")
    with pytest.raises(DataError, match=r"unknown \(set_encoder\.encoder\.layer1\.0\.weight"):
        load_recognizer(path, learner="protonets", backbone="tiny")
    with pytest.raises(DataError, match=r"unknown \(classifier\.weight_processor\.linear1\.weight"):
        load_recognizer(path, learner="simple_cnaps", backbone="tiny")


def test_a_hostile_file_is_refused_and_not_run(tmp_path: Path) -> None:
    target = tmp_path / "was-run"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return exec, (f"open({str(target)!r}, 'w').close()",)

    torch.save({"model_state_dict": random_checkpoint("tiny", "protonets"), "args": Hostile()}, tmp_path / "x.pth")
    with pytest.raises(DataError, match="no code in it was run"):
        load_recognizer(tmp_path / "x.pth", learner="protonets", backbone="tiny")
    assert not target.exists()


@pytest.mark.parametrize("learner", ["protonets_cosine", "cnaps", "simple_cnaps"])
def test_a_converted_file_gives_the_same_logits_to_the_bit(published: Callable[..., Path], learner: str) -> None:
    path = published("tiny", learner, nested=True)
    out = path.with_name("x.safetensors")
    convert(path, out, learner=learner, backbone="tiny", frame_size_px=32)
    support, query = frames("tiny", len(LABELS), seed=5), frames("tiny", 3, seed=6)
    before, after = (
        recognizer.personalize(support, LABELS).logits(query)
        for recognizer in (
            load_recognizer(path, learner=learner, backbone="tiny", frame_size_px=32),
            load_recognizer(out),
        )
    )
    assert torch.equal(before, after)
    info = read_checkpoint_info(out)
    assert info.learner.published_quirks
    assert (info.learner.name, info.backbone, info.frame_size_px) == (learner, "tiny", 32)
    assert info.meta == {"converted_from": {"file": "x.pth", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
