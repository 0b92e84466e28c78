"""Every engine gives the extractor's own features, for any weights, state and number of images."""

import copy
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from groundwork.errors import DataError, UsageError
from orbit_lite.models.adapters.film import film_parameters
from orbit_lite.models.backbones import BACKBONES
from orbit_lite.models.engines import ENGINES, find_engine, onnx_graph
from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder, EagerEngine, EngineFails
from orbit_lite.models.engines.folding import FoldedEngine, folded_net
from orbit_lite.models.engines.onnx_graph import encoding_model, graph_file
from orbit_lite.models.engines.openvino import OpenVinoEngine
from orbit_lite.models.extractor import Extractor, build_extractor
from orbit_lite.models.inputs import NotFinite
from orbit_lite.models.recognizer import build_recognizer

ROOT = Path(__file__).parents[4]
QUICK = ("tiny", "efficientnet_lite0")  # making a graph of one of the others takes 5 to 20 seconds
WITH_NORMS = {"resnet18": 20, "efficientnet_b0": 49, "efficientnet_lite0": 49, "efficientnet_v2_s": 110}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    # shared by the tests of this process
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def extractor_of(name: str, *, seed: int = 0) -> Extractor:
    """An extractor with random norms, because new norms have no effect."""
    extractor = build_extractor(name, weights="random", seed=seed, frame_size_px=224 if "vit" in name else 64)
    draw = torch.Generator().manual_seed(seed)
    for module in extractor.net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.02 * torch.randn(module.running_mean.shape, generator=draw))
            module.running_var.copy_(0.9 + 0.2 * torch.rand(module.running_var.shape, generator=draw))
    with torch.no_grad():
        for value in film_parameters(extractor).values():
            value.add_(0.02 * torch.randn(value.shape, generator=draw))
    return extractor


def film_state(extractor: Extractor) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(7)
    return {
        name: value.detach() + 0.05 * torch.randn(value.shape, generator=draw)
        for name, value in film_parameters(extractor).items()
    }


def noise(extractor: Extractor, count: int) -> torch.Tensor:
    size_px = extractor.frame_size_px
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8)


def off(engine, extractor, state=None, count=3) -> float:
    """The largest difference from eager features, relative to their standard deviation."""
    images = noise(extractor, count)
    with torch.no_grad():
        expected = extractor.encode(images, state=state)
        found = CurrentEncoder(ChosenEngine(engine), extractor, state)(images)
    assert found.shape == expected.shape and found.dtype == expected.dtype
    return float((found - expected).abs().max() / expected.std())


@pytest.mark.parametrize("name", BACKBONES)
def test_folded_features_are_the_extractors(name):
    extractor = extractor_of(name)
    assert off(FoldedEngine(), extractor) < 1e-4
    state = film_state(extractor)
    assert off(FoldedEngine(), extractor, state, count=1) < 1e-4
    folded = folded_net(extractor)
    assert (len(folded.pairs) if folded else 0) == WITH_NORMS.get(name, 0)
    if folded:
        in_double = {name: value.double() for name, value in state.items()}
        assert off(FoldedEngine(), extractor.double(), in_double, count=1) < 1e-9


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in BACKBONES])
def test_openvino_features_are_the_extractors(name):
    extractor = extractor_of(name)
    assert off(OpenVinoEngine(), extractor) < 1e-4
    assert off(OpenVinoEngine(), extractor, film_state(extractor), count=1) < 1e-4
    assert off(OpenVinoEngine(), extractor_of(name, seed=1), count=9) < 1e-4
    assert graph_file(extractor) == graph_file(extractor_of(name, seed=1))


def test_a_cached_graph_has_no_weights():
    extractor = extractor_of("tiny")
    encoding_model(extractor, None)
    content = graph_file(extractor).read_bytes()
    weights = [value for value in extractor.net.parameters() if value.numel() > 8]
    assert weights and not any(value.detach().numpy().tobytes() in content for value in weights)


@pytest.mark.parametrize("content", [b"", b"no graph", None])
def test_a_damaged_graph_is_made_again(content):
    extractor = extractor_of("tiny")
    encoding_model(extractor, None)
    whole = graph_file(extractor).read_bytes()
    graph_file(extractor).write_bytes(whole[:-200] if content is None else content)
    assert off(OpenVinoEngine(), extractor) < 1e-4
    assert graph_file(extractor).read_bytes() == whole


def test_a_cache_that_can_not_be_written_only_costs_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert off(OpenVinoEngine(), extractor_of("tiny")) < 1e-4
    monkeypatch.setattr(onnx_graph, "_exported", None)  # once in a process
    assert off(OpenVinoEngine(), extractor_of("tiny", seed=1)) < 1e-4


def test_no_home_directory_is_needed(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", home)
    extractor = extractor_of("tiny")
    assert not graph_file(extractor).exists()
    assert off(OpenVinoEngine(), extractor) < 1e-4


def test_openvino_computes_in_float32_with_torchs_threads():
    import openvino

    compiled = []
    keep = openvino.Core.compile_model

    def compile_model(core, *arguments):
        compiled.append(keep(core, *arguments))
        return compiled[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino.Core, "compile_model", compile_model)
        OpenVinoEngine().encoder(extractor_of("tiny"), None)
    [model] = compiled
    assert str(model.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"
    assert model.get_property("INFERENCE_NUM_THREADS") == torch.get_num_threads()


def test_openvino_sends_nothing_and_leaves_nothing_at_home(tmp_path):
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = socket.socket.sendto = socket.getaddrinfo = refuse\n"
        "from orbit_lite.models.engines import find_engine\n"
        "from orbit_lite.models.extractor import build_extractor\n"
        "find_engine('openvino').encoder(build_extractor('tiny', weights='random', frame_size_px=32), None)\n"
    )
    home, cache = tmp_path / "home", tmp_path / "cache"
    home.mkdir()
    environment = {"HOME": str(home), "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not list(home.rglob("*"))
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".onnx"]


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_an_encoder_follows_the_weights(engine):
    extractor = extractor_of("tiny")
    encoder, images = CurrentEncoder(ChosenEngine(engine), extractor), noise(extractor, 2)
    before = encoder(images)
    optimizer = torch.optim.SGD(extractor.net.parameters(), lr=0.1)
    extractor(images).square().sum().backward()
    optimizer.step()
    with torch.no_grad():
        expected = extractor(images)
    assert not torch.allclose(before, expected, rtol=1e-2)
    assert torch.allclose(encoder(images), expected, rtol=1e-3, atol=1e-5)
    extractor.net.load_state_dict(extractor_of("tiny", seed=3).net.state_dict(), assign=True)
    with torch.no_grad():
        expected = extractor(images)
    assert torch.allclose(encoder(images), expected, rtol=1e-3, atol=1e-5)


def test_an_encoder_is_prepared_once(monkeypatch):
    prepared = []

    class Counting(EagerEngine):
        def encoder(self, extractor, state):
            prepared.append(state)
            return super().encoder(extractor, state)

    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    recognizer.engine = Counting()
    images, labels = noise(recognizer.extractor, 4), torch.tensor([0, 0, 1, 1])
    fitted = recognizer.personalize(images, labels)
    fitted.logits(images), fitted.logits(images), recognizer.embed(images)
    assert len(prepared) == 1


@pytest.mark.parametrize("learner", ["protonets", "simple_cnaps", "finetuner_film", "maml"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_learners_logits_are_those_of_eager(learner, engine):
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=32)
    images, labels = noise(recognizer.extractor, 6), torch.tensor([0, 0, 1, 1, 2, 2])
    recognizer.engine = find_engine("eager")
    expected = recognizer.personalize(images, labels).logits(images)
    recognizer.engine = find_engine(engine)
    found = recognizer.personalize(images, labels).logits(images)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_recognizers_are_copied_with_any_engine():
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    recognizer.engine = find_engine("openvino")
    images = noise(recognizer.extractor, 2)
    expected = recognizer.embed(images)
    assert torch.equal(copy.deepcopy(recognizer).embed(images), expected)


class Shared(nn.Module):
    """One convolution for two norms, neither of which can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.other = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, pixels):
        return (self.one(self.conv(pixels)) + self.other(self.conv(pixels)).square()).mean((2, 3))


class Looking(nn.Module):
    """A convolution whose output is also used outside its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)

    def forward(self, pixels):
        found = self.conv(pixels)
        return (self.norm(found) + found.abs()).mean((2, 3))


class Computing(nn.Module):
    """A convolution whose weight is computed from others, in a network with a fixed precision."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)

    def forward(self, pixels):
        return self.norm(input=self.conv(pixels.float())).square().mean((2, 3))


class Precise(nn.Module):
    """A network with a fixed precision."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, pixels):
        return self.norm(self.conv(pixels.float())).square().mean((2, 3))


@pytest.mark.parametrize("net", [Shared, Looking, Computing, Precise])
def test_a_network_that_can_not_be_folded_runs_as_it_is_written(net):
    plain = build_extractor("tiny", weights="random", frame_size_px=32)
    torch.manual_seed(0)
    made = net().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    extractor = Extractor(plain.backbone, made, frame_size_px=32)
    assert folded_net(extractor) is None
    assert off(FoldedEngine(), extractor) == 0


class Tied(nn.Module):
    """Layers that share tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 3, bias=False), nn.Conv2d(3, 3, 3, bias=False)
        self.norm, self.after = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.other.weight, self.after.weight, self.after.bias = self.conv.weight, self.norm.weight, self.norm.bias

    def forward(self, pixels):
        return self.after(self.other(self.norm(self.conv(pixels)).relu())).square().mean((2, 3))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_layers_that_share_tensors_are_folded_each(engine):
    plain = build_extractor("tiny", weights="random", frame_size_px=32)
    extractor = Extractor(plain.backbone, Tied().eval(), frame_size_px=32)
    assert len(folded_net(extractor).pairs) == 2
    with torch.no_grad():
        for value in extractor.net.parameters():
            value.copy_(torch.randn(value.shape))
    assert off(find_engine(engine), extractor) < 1e-4
    state = {"norm.weight": torch.tensor([1.0, 2.0, -1.0]), "conv.weight": torch.randn(3, 3, 3, 3)}
    assert off(find_engine(engine), extractor, state) < 1e-4


@pytest.mark.parametrize("start", [0.0, float("nan")])
def test_weights_that_hide_a_wrong_pair_at_first(start):
    plain = build_extractor("tiny", weights="random", frame_size_px=32)
    net = Looking()
    net.norm.running_var.fill_(2)
    extractor = Extractor(plain.backbone, net.eval(), frame_size_px=32)
    trained = net.conv.weight.detach().clone()
    with torch.no_grad():
        net.conv.weight.fill_(start)
        assert folded_net(extractor) is None
        net.conv.weight.copy_(trained)
    assert off(FoldedEngine(), extractor) == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [float("nan"), 1e30])
def test_weights_that_have_diverged_are_reported(engine, value):
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    recognizer.engine = find_engine(engine)
    with torch.no_grad():
        for weights in recognizer.extractor.net.parameters():
            weights.fill_(value)
    with pytest.raises(NotFinite, match="the weights have diverged"):
        recognizer.embed(noise(recognizer.extractor, 2))


@pytest.mark.parametrize("engine", ENGINES)
def test_identical_features_are_not_an_error(engine):
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    recognizer.engine = find_engine(engine)
    with torch.no_grad():
        for weights in recognizer.extractor.net.parameters():
            weights.zero_()
    assert not recognizer.embed(noise(recognizer.extractor, 2)).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_changes_without_a_new_tensor_version_are_detected(engine):
    extractor = extractor_of("efficientnet_lite0")
    encoder, images = CurrentEncoder(ChosenEngine(find_engine(engine)), extractor), noise(extractor, 2)
    encoder(images)
    for value in extractor.net.parameters():
        value.grad = torch.randn(value.shape)
    torch.optim.AdamW(extractor.net.parameters(), lr=1e-3, fused=True).step()
    expected = extractor.encode(images).detach()
    assert torch.allclose(encoder(images), expected, atol=1e-3 * float(expected.std()))
    for value in extractor.net.parameters():
        value.data.mul_(0.9)
    expected = extractor.encode(images).detach()
    assert torch.allclose(encoder(images), expected, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("engine", ENGINES)
def test_changes_other_than_tensors_are_detected(engine):
    extractor = extractor_of("tiny")
    encoder, images = CurrentEncoder(ChosenEngine(find_engine(engine)), extractor), noise(extractor, 2)
    encoder(images)
    for module in extractor.net.modules():
        if hasattr(module, "eps"):
            module.eps *= 30
    expected = extractor.encode(images).detach()
    assert torch.allclose(encoder(images), expected, atol=1e-3 * float(expected.std()))
    prepared, threads = encoder.prepare(), torch.get_num_threads()
    assert encoder.prepare() is prepared
    torch.set_num_threads(threads + 1)
    try:
        assert encoder.prepare() is not prepared
    finally:
        torch.set_num_threads(threads)


def test_a_failed_chunk_does_not_block_others():
    pytest.importorskip("openvino")
    extractor = extractor_of("efficientnet_lite0")
    encoder, images = OpenVinoEngine().encoder(extractor, None), noise(extractor, 2)
    expected = encoder(images)
    for _ in range(torch.get_num_threads() + 1):
        with pytest.raises(Exception, match=r"\S"):  # the runtime raises several types of errors
            encoder(images[:, :2])
    with ThreadPoolExecutor(1) as thread:
        assert torch.equal(thread.submit(encoder, images).result(timeout=120), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_may_share_an_encoder(engine):
    extractor = extractor_of("efficientnet_lite0")
    encoder, images = CurrentEncoder(ChosenEngine(find_engine(engine)), extractor), noise(extractor, 12)
    with torch.no_grad():
        expected = extractor.encode(images)

    def differs(at: int) -> float:
        return float((encoder(images[at : at + 3]) - expected[at : at + 3]).abs().max())

    with ThreadPoolExecutor(6) as threads:
        assert max(threads.map(differs, [0, 3, 6, 9] * 8)) < 1e-3 * float(expected.std())


@pytest.mark.parametrize("engine", ENGINES)
def test_features_are_float32_under_autocast_and_no_graph_is_made_of_its_casts(engine, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    extractor = extractor_of("resnet18" if engine == "torch" else "tiny")
    images = noise(extractor, 2)
    with torch.autocast("cpu", torch.bfloat16):
        features = CurrentEncoder(ChosenEngine(find_engine(engine)), extractor)(images)
    assert features.dtype == torch.float32
    assert off(find_engine(engine), extractor) < 1e-4


def test_a_cached_graph_of_another_network_is_made_again():
    extractor = extractor_of("tiny")
    encoding_model(extractor, None)
    whole = graph_file(extractor).read_bytes()
    assert whole.count(b"Relu")
    graph_file(extractor).write_bytes(whole.replace(b"Relu", b"Tanh"))
    assert off(OpenVinoEngine(), extractor) < 1e-4
    assert graph_file(extractor).read_bytes() == whole


class Tight:
    """Simulates a GPU whose memory holds a limited number of frames."""

    name, chunks_at_once = "tight", 1

    def __init__(self, holds: int) -> None:
        self.holds = holds

    def encoder(self, extractor, state):
        def encode(frames):
            if len(frames) > self.holds:
                raise torch.OutOfMemoryError("no")
            return extractor.encode(frames, state=state)

        return encode


def test_a_chunk_too_large_for_memory_is_halved_and_reported_once(caplog):
    recognizer = build_recognizer("protonets", "tiny", weights="random", frame_size_px=32)
    images = noise(recognizer.extractor, 21)
    expected = recognizer.embed(images, chunk=2)
    recognizer.engine = Tight(3)
    with caplog.at_level(logging.WARNING, "orbit_lite"):
        assert torch.allclose(recognizer.embed(images, chunk=16), expected, atol=1e-6)
        assert torch.allclose(recognizer.embed(images, chunk=16), expected, atol=1e-6)
    assert [record.getMessage() for record in caplog.records] == [
        "cpu: a chunk of 16 frames does not fit into its memory; smaller chunks are used, with the same result"
    ]
    recognizer.engine = Tight(0)
    with pytest.raises(DataError, match="the network and 1 frame don't fit into its memory; use --device cpu"):
        recognizer.embed(images[:1])


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    from orbit_lite.models.engines import openvino

    openvino._core.cache_clear()
    with pytest.raises(EngineFails, match="openvino is not installed; pip install openvino"):
        OpenVinoEngine().encoder(extractor_of("tiny"), None)


def test_other_precisions_are_refused_by_openvino():
    extractor = extractor_of("tiny").double()
    with pytest.raises(EngineFails, match="computes in float32, but the network is in float64"):
        OpenVinoEngine().encoder(extractor, None)
    assert off(FoldedEngine(), extractor) < 1e-12


def test_an_unknown_engine_is_named_with_similar_ones():
    with pytest.raises(UsageError, match=r"unknown engine 'openvin' .*openvino.* known: torch, openvino, eager"):
        find_engine("openvin")
