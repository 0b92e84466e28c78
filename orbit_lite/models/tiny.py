"""A small backbone of the kit's own, quick enough to train from scratch at 224 px on two CPU cores."""

from torch import nn

WIDTH = 256

# input maps, output maps, kernel, stride, groups of the GroupNorm; at 224 px the output is 56, 28, 14, 14, 7 px wide
_STAGES = ((3, 24, 5, 4, 4), (24, 48, 3, 2, 8), (48, 96, 3, 2, 8), (96, 128, 3, 1, 8), (128, WIDTH, 3, 2, 8))


def tiny_net() -> nn.Module:
    """Five convolutions and a global average: float (n, 3, s, s) to (n, 256), any s >= 32; 460,248 parameters.

    GroupNorm, since BatchNorm in eval mode from scratch normalises nothing, and in train mode an image's encoding
    depends on its batch. The stem strides by 4: at full resolution it would cost more than all the rest.
    """
    layers: list[nn.Module] = []
    for maps_in, maps_out, kernel, stride, groups in _STAGES:
        layers += [
            nn.Conv2d(maps_in, maps_out, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(groups, maps_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
