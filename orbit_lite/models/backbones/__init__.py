"""Backbones turn images into features. `find_backbone` returns a backbone's record by name.

Each backbone is one file here (or one line in its family's file) and one line in this table. `timm:NAME` is any model
in timm. Installed packages can add others through the entry point group `orbit_lite.backbones`.
"""

from groundwork.words import nearest
from orbit_lite.models.backbones import efficientnet, efficientnet_lite0, resnet18, timm_models, tiny, vit
from orbit_lite.models.backbones.record import FRAME_SIZE_PX, Backbone
from orbit_lite.models.plugins import BACKBONE

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
    """Return a backbone's record from this table or an installed package; for `timm:NAME`, for frames of this size.

    Raises:
        UsageError: for an unknown name (the message lists similar and known names), a timm model that can't be used, or
            a broken package.
    """
    if name.startswith(timm_models.PREFIX):
        return timm_models.timm_backbone(name, frame_size_px)
    known = {*BACKBONES, *BACKBONE.added()}
    of_timm = name not in known and not nearest(name, known) and timm_models.is_timm_model(name)
    return BACKBONE.find(
        name,
        BACKBONES,
        expected=Backbone,
        hint=f" (did you mean '{timm_models.PREFIX}{name}'?)" if of_timm else "",
        more=f", and {timm_models.PREFIX}NAME for any timm model",
    )
