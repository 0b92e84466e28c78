import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.adapters.set_encoder import SetEncoder


def pixels(count: int, size_px: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, size_px, size_px, generator=generator, dtype=torch.float64)


def test_encodings_by_formula() -> None:
    encoder = SetEncoder().double()
    values = dict(encoder.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            if ".1." in name:  # scale and shift, which start at 1 and 0
                value.add_(0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(2)))
    hidden = pixels(3, 64)
    for number in range(1, 6):
        of = {name.removeprefix(f"encoder.layer{number}."): value for name, value in values.items()}
        hidden = F.conv2d(hidden, of["0.weight"], of["0.bias"], padding=1)
        # BatchNorm with mean 0 and variance 1
        hidden = hidden / (1 + 1e-5) ** 0.5 * of["1.weight"].view(-1, 1, 1) + of["1.bias"].view(-1, 1, 1)
        hidden = F.max_pool2d(hidden.clamp(min=0), 2)
    assert hidden.shape == (3, 64, 2, 2)
    torch.testing.assert_close(encoder(pixels(3, 64)), hidden.mean(dim=(2, 3)))


def test_any_size_from_32_px_on() -> None:
    encoder = SetEncoder().double()
    assert encoder(pixels(2, 32)).shape == encoder(pixels(2, 75)).shape == (2, 64)


def test_training_changes_neither_statistics_nor_an_images_encoding() -> None:
    encoder = SetEncoder().double()
    encoder.train()
    together = encoder(pixels(4))
    together.sum().backward()
    torch.testing.assert_close(encoder(pixels(4)[2:3]), together[2:3])
    statistics = {name: value for name, value in encoder.named_buffers() if "running" in name}
    assert len(statistics) == 10
    assert all(value.eq(0 if "mean" in name else 1).all() for name, value in statistics.items())
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in encoder.parameters())


def test_number_of_parameters() -> None:
    # 3*64*9 + 64, then four times 64*64*9 + 64, and five times 128 for scale and shift
    assert sum(value.numel() for value in SetEncoder().parameters()) == 1_792 + 4 * 36_928 + 640


def test_folded_forward_gives_the_same_values_and_gradients() -> None:
    encoder = SetEncoder().double()
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, value in (*encoder.named_parameters(), *encoder.named_buffers()):
            if ".1." in name and value.is_floating_point():
                value.add_(0.3 * torch.rand(value.shape, generator=draw))
    gradients = []
    for encode in (encoder.forward, encoder.forward_folded):
        encoder.zero_grad()
        encodings = encode(pixels(3, 64))
        encodings.square().sum().backward()
        gradients.append([encodings.detach(), *(value.grad.clone() for value in encoder.parameters())])
    for plain, quick in zip(*gradients, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-9, atol=1e-12)
