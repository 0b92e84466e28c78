"""How many frames are encoded at once, by device. This affects memory and speed, but results only by rounding."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Chunks:
    """Frames encoded at once: without a graph, with one (which takes several times the memory), and for a query set."""

    no_graph: int
    with_graph: int
    query: int


# Small chunks stay in a CPU's cache: on two cores EfficientNet-B0 embeds 156 images/s in chunks of 8, 57 in chunks
# of 32.
CPU_CHUNKS = Chunks(no_graph=8, with_graph=4, query=4)
GPU_CHUNKS = Chunks(no_graph=256, with_graph=64, query=64)


def default_chunks(
    device: torch.device, *, no_graph: int | None = None, with_graph: int | None = None, query: int | None = None
) -> Chunks:
    """The default chunk sizes for a device, chosen for speed."""
    usual = CPU_CHUNKS if device.type == "cpu" else GPU_CHUNKS
    return Chunks(no_graph or usual.no_graph, with_graph or usual.with_graph, query or usual.query)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device is a GPU with fast bfloat16."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
