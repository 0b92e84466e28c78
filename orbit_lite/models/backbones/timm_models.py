"""`timm:NAME`: any image model in timm. Its facts come from timm's configuration and from the network itself; a model
that breaks one of these rules is refused with a one-line message.

- mean, std, license, hub: from the configuration. `NAME.TAG` selects one of the model's weights; without a tag it is
  timm's default, and the backbone's name includes the tag.
- size: a model with a fixed input size is built for another one with timm's `img_size`, if possible (dinov2: 518 px,
  also 224).
- width: the size of the network's output for one image, found on the meta device without computing.
- FiLM: every BatchNorm, LayerNorm and GroupNorm with weight and bias, except in `downsample` and `shortcut` modules,
  which change sizes between blocks.
"""

import difflib
import sys
from contextlib import suppress
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from groundwork.errors import UsageError
from orbit_lite.models.backbones.record import Backbone, Channels, Tensors
from orbit_lite.models.backbones.timm_net import timm_net
from orbit_lite.models.pretrained import fetch_from_hub

PREFIX = "timm:"
NEAR_NAMES = 5
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
BETWEEN_BLOCKS = {"downsample", "shortcut"}


@cache
def timm_backbone(name: str, frame_size_px: int) -> Backbone:
    """Return the record of `timm:NAME` for frames of the given size.

    Raises:
        UsageError: if timm has no such model (the message lists similar names), or the model breaks a rule.
    """
    config = _config(name.removeprefix(PREFIX))
    timm_name = f"{config.architecture}.{config.tag}" if config.tag else str(config.architecture)
    name = PREFIX + timm_name
    if config.input_size[0] != 3 or len(config.mean) != 3 or len(config.std) != 3:
        raise UsageError(f"backbone {name}: takes images with {config.input_size[0]} channels; expected 3")
    native_px = int(config.input_size[-1])
    resized = bool(config.fixed_input_size) and frame_size_px != native_px
    build = partial(_build, timm_name, **({"img_size": frame_size_px} if resized else {}))
    width = _width(name, build, frame_size_px, native_px=native_px)
    hub = timm_name, config.hf_hub_id, config.hf_hub_filename
    return Backbone(
        name=name,
        width=width,
        mean=_channels(config.mean),
        std=_channels(config.std),
        source=f"timm {timm_name}",
        license=f"{config.license or 'not stated'}, according to timm's configuration",
        build=build,
        any_size=True,  # this size was tested above
        fetch=partial(fetch_from_hub, *hub) if config.hf_hub_id else None,
        prepare=partial(_prepare, timm_name),
        classifiers=(),  # _prepare drops them, as it knows their names
        norms=partial(_norms, name),
    )


def is_timm_model(name: str) -> bool:
    """Whether timm has a model of this name, without the prefix."""
    import timm

    return bool(timm.is_model(name))


def _config(timm_name: str) -> Any:
    import timm

    architecture, _, tag = timm_name.partition(".")
    if not is_timm_model(architecture):
        models = timm.list_models()
        near = difflib.get_close_matches(architecture, models, n=NEAR_NAMES)
        hint = f"similar names: {', '.join(near)}" if near else "timm.list_models() lists the known models"
        raise UsageError(f"unknown backbone '{PREFIX}{timm_name}': timm {timm.__version__} has no such model; {hint}")
    try:
        return timm.get_pretrained_cfg(timm_name, allow_unregistered=False)
    except RuntimeError:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
        raise UsageError(
            f"unknown backbone '{PREFIX}{timm_name}': timm {timm.__version__} has no weights {tag!r} of "
            f"{architecture}; known: {', '.join(tags) or 'none'}"
        ) from None


def _build(timm_name: str, **options: Any) -> nn.Module:
    net = timm_net(timm_name, **options)
    for module in net.modules():
        if hasattr(module, "attention_bias_cache"):
            module.register_forward_pre_hook(_forget_attention_biases)
            module.register_forward_hook(_forget_attention_biases)
    return net


def _forget_attention_biases(module: nn.Module, *_: Any) -> None:
    """Clear the attention biases that LeViT and similar models cache in eval mode, so that each pass computes them:
    with the cache, no gradient would reach the weights, and training steps would have no effect."""
    cache: Any = module.attention_bias_cache
    cache.clear()


def _width(name: str, build: "partial[nn.Module]", frame_size_px: int, *, native_px: int) -> int:
    """The width of the features for one image of this size; raises UsageError if the output is not one feature row."""
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device("meta"):
            net = build().eval()
            features = net(torch.empty(1, 3, frame_size_px, frame_size_px))
    except Exception as error:  # a network can raise any error of its operations
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(
            f"backbone {name} can't take frames of {frame_size_px} px ({reason}); its native size is {native_px} px"
        ) from None
    if not isinstance(features, Tensor) or features.ndim != 2:
        found = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UsageError(f"backbone {name}: returns {found} for an image; expected one row of features")
    mixed = [key for key, module in net.named_modules() if getattr(module, "track_running_stats", None) is False]
    if mixed:
        raise UsageError(
            f"backbone {name}: {mixed[0]} normalizes over the batch, so an image's features depend on other images"
        )
    return int(features.shape[1])


def _norms(name: str, net: nn.Module) -> list[str]:
    found = [
        key
        for key, module in net.named_modules()
        if isinstance(module, NORMS) and module.weight is not None and module.bias is not None
    ]
    found = [key for key in found if not BETWEEN_BLOCKS & set(key.split("."))]
    if not found:
        raise UsageError(
            f"backbone {name}: FiLM has nothing to adapt: no BatchNorm, LayerNorm or GroupNorm with weight and "
            "bias; use a learner without FiLM"
        )
    return found


def _prepare(timm_name: str, net: nn.Module, tensors: Tensors) -> Tensors:
    """Apply timm's own filter for the model, if it has one (old names, position embeddings of another size), and drop
    the classifier's tensors: names of timm's complete model that this network lacks."""
    import timm

    module = sys.modules[timm.models.model_entrypoint(timm_name.partition(".")[0]).__module__]
    accepts = getattr(module, "checkpoint_filter_fn", None)
    if accepts is not None:
        with suppress(Exception):  # a file of another network: loading it lists what does not fit
            tensors = dict(accepts(dict(tensors), net))
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        whole = timm.create_model(timm_name, pretrained=False).state_dict()
    classifier = whole.keys() - net.state_dict().keys()
    return {name: value for name, value in tensors.items() if name not in classifier}


def _channels(values: Any) -> Channels:
    red, green, blue = map(float, values)
    return red, green, blue
