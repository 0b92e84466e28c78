"""Published checkpoints, held against the published arithmetic written out a second time, plainly and on its own.

Weights are random, and larger than trained ones where those would hide a part: with the published regularizers of about
0.001 FiLM could be left out unnoticed. Nobody has published a file for `tiny`: it is here for its speed.
"""

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from groundwork.errors import FoundWrong
from orbit_lite import load_recognizer
from orbit_lite.models.tiny import tiny_net

Weights = dict[str, Tensor]
TIMM_NAMES = {  # ORBIT's README and section 6 of its papers' code, by today's names
    "efficientnet_b0": "tf_efficientnet_b0.aa_in1k",
    "vit_s_32": "vit_small_patch32_224.augreg_in21k",
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PIXELS = {"efficientnet_b0": IMAGENET, "vit_s_32": ((0.5,) * 3, (0.5,) * 3), "tiny": ((0.5,) * 3, (0.5,) * 3)}
SIZES_PX = {"tiny": 32, "efficientnet_b0": 64, "vit_s_32": 224}
WIDTHS = {"tiny": 256, "efficientnet_b0": 1280, "vit_s_32": 384}
LABELS = torch.tensor([0, 1, 1, 2, 2, 2])  # class 0 has one image

# The Mahalanobis head has 1e-3: the published inverse is float32.
TOLERANCE = {"simple_cnaps": 1e-3}
CASES = [
    *(("tiny", learner) for learner in ("protonets", "protonets_cosine", "cnaps", "simple_cnaps", "finetuner")),
    *(("efficientnet_b0", learner) for learner in ("protonets", "protonets_cosine", "cnaps", "simple_cnaps")),
    ("vit_s_32", "protonets"),
    ("vit_s_32", "cnaps"),
]


def frames(backbone: str, count: int, seed: int) -> Tensor:
    """Coarse patches: noise looks the same to every network."""
    patches = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    size_px = SIZES_PX[backbone]
    return (255 * F.interpolate(patches, size=(size_px, size_px), mode="bilinear")).round().to(torch.uint8)


def published_net(backbone: str) -> nn.Module:
    return tiny_net() if backbone == "tiny" else timm.create_model(TIMM_NAMES[backbone], num_classes=0)


def pixels(images: Tensor, backbone: str) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in PIXELS[backbone])
    return (images.float() / 255 - mean) / std


def film_names(net: nn.Module, backbone: str) -> list[str]:
    if backbone == "efficientnet_b0":  # at the root, and the second of each inverted residual (head of stages 1 to 6)
        norms = ["bn1", "bn2"] + [
            n for n, _ in net.named_modules() if n.endswith(".bn2") and hasattr(net.get_submodule(n[:-4]), "conv_pwl")
        ]
    elif backbone == "vit_s_32":
        norms = [n for n, _ in net.named_modules() if n.split(".")[-1] in ("norm", "norm1", "norm2")]
        norms = [n for n in norms if isinstance(net.get_submodule(n), nn.LayerNorm)]
    else:
        norms = [n for n, module in net.named_modules() if isinstance(module, nn.GroupNorm)]
    return sorted([f"{norm}.weight" for norm in norms] + [f"{norm}.bias" for norm in norms])


def random_checkpoint(backbone: str, learner: str) -> Weights:
    """A state dict with the published keys. The global random state is seeded: call it inside fork_rng."""
    net = published_net(backbone)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if value.ndim == 1:
                value.add_(0.1 * torch.randn_like(value))
        # as after training: BatchNorm's statistics are those of images
        for norm in [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]:
            norm.register_forward_pre_hook(take_statistics)
        net.eval()(pixels(frames(backbone, 16, seed=3), backbone))
    found = {f"feature_extractor.{name}": value for name, value in net.state_dict().items()}
    if learner in ("cnaps", "simple_cnaps"):
        for layer in range(1, 6):
            start, maps_in = f"set_encoder.encoder.layer{layer}.", 3 if layer == 1 else 64
            found[f"{start}0.weight"] = torch.randn(64, maps_in, 3, 3) * (2 / (9 * maps_in)) ** 0.5
            found[f"{start}0.bias"] = 0.1 * torch.randn(64)
            found[f"{start}1.weight"] = 1 + 0.1 * torch.randn(64)
            found[f"{start}1.bias"] = 0.1 * torch.randn(64)
            found[f"{start}1.running_mean"] = torch.zeros(64)
            found[f"{start}1.running_var"] = torch.ones(64)
            found[f"{start}1.num_batches_tracked"] = torch.tensor(0)
        for place, name in enumerate(film_names(net, backbone)):
            size = net.get_parameter(name).numel()
            start = f"film_generator.generators.{place}.block."
            found |= linear(f"{start}0", 64, 64) | linear(f"{start}3", 64, size)
            found[f"{start}1.weight"] = 1 + 0.1 * torch.randn(64)
            found[f"{start}1.bias"] = 0.1 * torch.randn(64)
            found[f"film_generator.regularizers.{place}"] = 0.1 * torch.randn(size)
    if learner == "cnaps":
        width = WIDTHS[backbone]
        for part, out in (("weight", width), ("bias", 1)):
            found |= linear(f"classifier.{part}_processor.linear1", width, out)
            for number in (2, 3):
                found |= linear(f"classifier.{part}_processor.linear{number}", out, out)
    return found


def take_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    """Set what comes as the norm's statistics; the variance with a floor, for some random maps are all but constant."""
    maps = inputs[0].transpose(0, 1).flatten(1)
    norm.running_mean = maps.mean(1)
    norm.running_var = maps.var(1) + 0.3 * maps.var(1).mean()


def linear(name: str, width: int, out: int) -> Weights:
    return {f"{name}.weight": torch.randn(out, width) / width**0.5, f"{name}.bias": 0.1 * torch.randn(out)}


@torch.no_grad()
def published_logits(w: Weights, backbone: str, learner: str, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
    net = published_net(backbone).eval()
    start = "feature_extractor."
    net.load_state_dict({name.removeprefix(start): value for name, value in w.items() if name.startswith(start)})
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
    if learner == "finetuner":
        return F.linear(x, *fifty_steps(features, labels))
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
    """Of one item a single number, which broadcasts over the matrix: the published quirk."""
    if len(items) > 1:
        return torch.cov(items.T)
    own = items - items.mean(1, keepdim=True)
    return (own @ own.T).squeeze() / (items.shape[1] - 1)


def fifty_steps(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        weight = torch.zeros(3, features.shape[1], requires_grad=True)
        bias = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.Adam([weight, bias], lr=1e-3)
        for _ in range(50):
            optimizer.zero_grad()
            F.cross_entropy(F.linear(features, weight, bias), labels).backward()
            optimizer.step()
    return weight.detach(), bias.detach()


@pytest.mark.parametrize(("backbone", "learner"), CASES)
def test_a_published_file_gives_the_published_logits(tmp_path: Path, backbone: str, learner: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        weights = random_checkpoint(backbone, learner)
    images = len(LABELS) if backbone != "vit_s_32" else 3
    labels = LABELS[:images]
    support, query = frames(backbone, images, seed=5), frames(backbone, 3, seed=6)
    torch.save(weights, tmp_path / "x.pth")
    recognizer = load_recognizer(
        tmp_path / "x.pth", learner=learner, backbone=backbone, frame_size_px=SIZES_PX[backbone]
    )
    ours = recognizer.personalize(support, labels).logits(query)
    expected = published_logits(weights, backbone, learner, support, labels, query)
    print(
        backbone,
        learner,
        ((ours - expected).abs().max() / expected.std()).item(),
        expected.std().item(),
        expected.abs().max().item(),
    )
    assert (ours - expected).abs().max() <= TOLERANCE.get(learner, 1e-4) * expected.std()
