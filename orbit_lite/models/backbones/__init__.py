"""The backbones: images to features. `find_backbone` gives a backbone's record by name.

A backbone is one file here (or one line of its family), and one line in this table. `timm:NAME` is any model of timm's.
Installed packages add others through the entry point group `orbit_lite.backbones`.
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
    """A backbone's record, from this table or from an installed package; of `timm:NAME`, for frames of this size.

    Raises:
        UsageError: for an unknown name (says which are near, and which there are), one of timm's that can't be used, or
            a package that is broken.
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
        more=f", and {timm_models.PREFIX}NAME for any model of timm's",
    )
