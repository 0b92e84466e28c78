"""The backbones: images to features. `find_backbone` gives a backbone's record by name.

A backbone is one file here (or one line of its family), and one line in this table. `timm:NAME` is any model of timm's.
"""

from groundwork.errors import AskedWrong
from groundwork.words import nearest
from orbit_lite.models.backbones import efficientnet, efficientnet_lite0, resnet18, timm_models, tiny, vit
from orbit_lite.models.backbones.record import FRAME_SIZE_PX, Backbone

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        tiny.TINY,
        efficientnet.B0,
        efficientnet_lite0.LITE0,
        efficientnet.V2_S,
        vit.S_32,
        vit.B_32,
        vit.B_32_CLIP,
        resnet18.RESNET18,
    )
}


def find_backbone(name: str, *, frame_size_px: int = FRAME_SIZE_PX) -> Backbone:
    """A backbone's record; of `timm:NAME`, for frames of this size.

    Raises:
        AskedWrong: for an unknown name (says which are near, and which there are), or one of timm's that can't be used.
    """
    if name.startswith(timm_models.PREFIX):
        return timm_models.timm_backbone(name, frame_size_px)
    if name in BACKBONES:
        return BACKBONES[name]
    hint = nearest(name, BACKBONES)
    if not hint and timm_models.is_timm_model(name):
        hint = f" (did you mean '{timm_models.PREFIX}{name}'?)"
    known = f"known: {', '.join(BACKBONES)}, and {timm_models.PREFIX}NAME for any model of timm's"
    raise AskedWrong(f"unknown backbone {name!r}{hint}; {known}")
