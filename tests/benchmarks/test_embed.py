import pytest
import torch

from benchmarks import embed
from orbit_lite.models.recognizer import build_recognizer


def test_what_layers_read_and_write():
    """Convolution, norm, pooling and ReLU of each stage at 32 px, then average and flatten: by hand."""
    stages = (4608 + 3072 + 1920 + 768) + (1408 + 2048 + 1280 + 512) + (768 + 1024 + 640 + 256) + (384 + 512 + 512)
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    assert embed.layer_values(recognizer) == stages + 512 + 512


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_rates_stay_below_their_limits():
    comparisons = embed.compare("vit_s_32", embed.measure_limits())
    assert len(comparisons) == 2 * (len(embed.BATCHES) + 1)
    assert all(0 < c.ratio < 1 for c in comparisons)
