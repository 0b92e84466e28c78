"""timm's vision transformers, as in the published rows."""

from functools import partial

from torch import nn

from orbit_lite.models.backbones.efficientnet import TIMM_LICENSE
from orbit_lite.models.backbones.record import CLASSIFIERS, CLIP_MEAN, CLIP_STD, HALVES, Backbone, Channels, as_they_are
from orbit_lite.models.backbones.timm_net import timm_net
from orbit_lite.models.pretrained import fetch_from_hub


def vit_norms(net: nn.Module) -> list[str]:
    """Both norms of every block and the final norm, but not the norm before the blocks that CLIP models have."""
    wanted = ("norm", "norm1", "norm2")
    found = ((name, module) for name, module in net.named_modules() if isinstance(module, nn.LayerNorm))
    return [name for name, _ in found if name.rpartition(".")[2] in wanted]


def _vit(name: str, timm_name: str, width: int, mean: Channels, std: Channels) -> Backbone:
    return Backbone(
        name=name,
        width=width,
        mean=mean,
        std=std,
        source=f"timm {timm_name}",
        license=TIMM_LICENSE,
        build=partial(timm_net, timm_name),
        any_size=False,  # one position embedding for each patch of 224 px
        fetch=partial(fetch_from_hub, timm_name),
        prepare=as_they_are,
        classifiers=CLASSIFIERS,
        norms=vit_norms,
    )


S_32 = _vit("vit_s_32", "vit_small_patch32_224.augreg_in21k", 384, HALVES, HALVES)
B_32 = _vit("vit_b_32", "vit_base_patch32_224.augreg_in21k", 768, HALVES, HALVES)
B_32_CLIP = _vit("vit_b_32_clip", "vit_base_patch32_clip_224.laion2b", 768, CLIP_MEAN, CLIP_STD)
