"""An installed package adds a head, a backbone and learners, which work everywhere like the kit's own."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from groundwork.errors import DataError, UsageError
from orbit_lite.cli.parser import main
from orbit_lite.models.backbones import find_backbone
from orbit_lite.models.checkpoint import load_recognizer, save_recognizer
from orbit_lite.models.heads import find_head
from orbit_lite.models.heads.fitting import every_tensor
from orbit_lite.models.learner import LearnerConfig, learner_names, load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.file import load_personal
from orbit_lite.runs.folder import versions

ROOT = Path(__file__).resolve().parents[2]

# Class means, pulled toward their common mean by a meta-learned share, with an exponent as a setting. The fitted head
# also has an integer tensor and a number.
HEAD = """
from dataclasses import dataclass
import torch
from torch import Tensor, nn
from groundwork.strict_model import Strict
from orbit_lite.models.heads.fitting import class_means
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord

class Settings(Strict):
    power: float = 2.0

@dataclass(frozen=True, eq=False)
class Pulled:
    means: Tensor
    counts: Tensor
    power: float

    def logits(self, queries: Tensor) -> Tensor:
        apart = (queries[:, None] - self.means).square().sum(dim=2)
        return -(apart + 1e-6).pow(self.power / 2) + 0 * self.counts

class PullingHead(nn.Module):
    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power
        self.share = nn.Parameter(torch.tensor(0.1))

    def fit(self, features, labels, *, way, videos=None):
        means = class_means(features, labels, way=way)
        pulled = means + self.share * (means.mean(dim=0) - means)
        return Pulled(pulled, torch.bincount(labels, minlength=way), self.power)

RECORD = HeadRecord(
    name="pulled_means",
    summary="class means, pulled together",
    settings=Settings,
    build=lambda learner, own, width: PullingHead(own.power),
    fitted=Pulled,
    shapes=lambda way, width, values: {"means": (way, width), "counts": (way,)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=lambda head, size: size.class_means + 12345),
    passes_gradient=True,
    meta_learned=True,
    adds_objects=True,
    settle=None,
    in_training=None,
)
"""
BACKBONE = """
from torch import nn
from orbit_lite.models.backbones.record import HALVES, Backbone, as_they_are

def build() -> nn.Module:
    layers = [nn.Conv2d(3, 16, 7, 8, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers)

RECORD = Backbone(
    name="one_layer", width=64, mean=HALVES, std=HALVES, source="a test", license="MIT", build=build, any_size=True,
    fetch=None, prepare=as_they_are, classifiers=(), norms=lambda net: ["1"],
)
"""
FILES = {
    "own_parts/__init__.py": "",
    "own_parts/heads.py": HEAD,
    "own_parts/nets.py": BACKBONE,
    "own_parts/learners/__init__.py": "",
    "own_parts/learners/pulled.yaml": "{head: pulled_means, extractor: learned, head_settings: {power: 1.5}}\n",
    "own_parts/composed.py": "from orbit_lite.models.learner import LearnerConfig\n"
    "COMPOSED = LearnerConfig(head='pulled_means', adapter='generator', extractor='frozen')\n",
}
ENTRY_POINTS = """
[orbit_lite.heads]
pulled_means = own_parts.heads:RECORD
[orbit_lite.backbones]
one_layer = own_parts.nets:RECORD
[orbit_lite.learners]
pulled = own_parts.learners
composed = own_parts.composed:COMPOSED
"""
QUICK = ["epochs=1", "tasks.tasks_per_user=2", "tasks_per_step=2", "tasks.query.frames.at_most=2", "lite.h=4"]


def install(site: Path, files: dict[str, str], entry_points: str, *, name: str = "own-parts") -> None:
    """Write a package as an installer does: its modules, with metadata next to them."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    metadata = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/entry_points.txt": entry_points,
    }
    for place, text in {**files, **metadata}.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(text)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty folder that Python searches first; modules imported from it are removed afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for module in [name for name in sys.modules if name.split(".")[0] in ("own_parts", "broken_parts")]:
        del sys.modules[module]


@pytest.fixture
def own_parts(site) -> Path:
    install(site, FILES, ENTRY_POINTS)
    return site


@pytest.fixture
def run(capsys) -> Callable[..., str]:
    """Run a command that must succeed; returns its output."""

    def call(*arguments: object) -> str:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out + said.err

    return call


@pytest.mark.parametrize("parts", ["head", "backbone"])
def test_a_packages_parts_work_from_training_to_export(own_parts, run, pocket_raw, pocket_frames, tmp_path, parts):
    """A package's head on the kit's backbone, and its backbone under the kit's head, without changes to the kit."""
    learner, backbone = ("pulled", "tiny") if parts == "head" else ("protonets", "one_layer")
    train, personal = tmp_path / "train", tmp_path / "alice.safetensors"
    chosen = [f"learner={learner}", f"backbone={backbone}", "optimizer.warmup_epochs=0", *QUICK]
    run("train", "pocket", *chosen, "--data", pocket_frames, "--out", train, "--workers", 0)
    best = train / "best.safetensors"
    card = ("--protocol", "orbit-2022", "--tasks-per-user", 1, "--workers", 0)
    run("evaluate", "--model", best, "--data", pocket_frames, *card, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "scorecard.json").read_text())["cost"]["macs_to_personalize"]["mean"] > 0

    user = sorted((pocket_raw / "test").iterdir())[0]
    run("personalize", "--model", best, "--videos", user, "--out", personal)
    taught = load_personal(personal)
    assert run("recognize", "--model", personal, next(user.rglob("*.mp4")))
    exported = tmp_path / "alice.pt2"
    assert "compared with the recognizer on" in run("export", personal, "--format", "torch-export", "--out", exported)
    assert exported.is_file()
    counted = run("cost", "--model", best, "--repeats", 0)
    assert versions()["own-parts"] == "1.0"  # results depend on it, so it is in every run's record
    assert json.loads((train / "run.json").read_text())["versions"]["own-parts"] == "1.0"
    if parts == "backbone":
        assert taught.fitted.recognizer.extractor.backbone.name == "one_layer"
        assert "on one_layer" in counted
        return
    trained = load_recognizer(best)
    assert abs(trained.head.share.item() - 0.1) > 1e-6  # meta-trained
    assert taught.fitted.head.power == 1.5  # the learner's value, not the default
    # 3 objects; everything in a fitted head is restored
    shapes = {name: tuple(value.shape) for name, value in every_tensor(taught.fitted.head).items()}
    assert shapes == {"means": (3, 256), "counts": (3,)}
    assert taught.fitted.head.counts.dtype == torch.int64 and int(taught.fitted.head.counts.sum()) > 0
    # 10 objects with 10 frames: 10 * 100 + 100 * 256, and the package's own number
    (row,) = [line for line in counted.splitlines() if line.startswith("head's fit")]
    assert row.split()[-1] == f"{10 * 100 + 100 * 256 + 12345:,}"


def test_learners_are_a_packages_yaml_or_configs(own_parts):
    assert {"pulled", "composed", "protonets"} <= set(learner_names())
    pulled, composed = load_learner("pulled"), load_learner("composed")
    assert (pulled.name, pulled.head, pulled.head_settings) == ("pulled", "pulled_means", {"power": 1.5})
    assert (composed.name, composed.adapter) == ("composed", "generator")
    film = build_recognizer("composed", "one_layer", weights="random", frame_size_px=64)
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    assert film.personalize(images, torch.tensor([0, 1, 0, 1])).logits(images).shape == (4, 2)


def written(folder: Path, text: str) -> Path:
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def test_an_unknown_name_lists_what_packages_add(own_parts):
    with pytest.raises(
        UsageError, match=r"'pulled_mean' \(did you mean 'pulled_means'\?\); known: proto, .*pulled_means$"
    ):
        find_head("pulled_mean")
    with pytest.raises(UsageError, match=r"'one_layers' \(did you mean 'one_layer'\?\)"):
        find_backbone("one_layers")
    with pytest.raises(UsageError, match=r"unknown learner 'puled' \(did you mean 'pulled'\?\)"):
        load_learner("puled")
    with pytest.raises(UsageError, match=r"head_settings: unknown key 'pwer' \(did you mean 'power'\?\)"):
        load_learner(str(written(own_parts, "{head: pulled_means, extractor: learned, head_settings: {pwer: 1}}")))


def test_a_file_of_a_missing_package_names_it(own_parts, tmp_path, monkeypatch):
    for name, learner, backbone in (("head", "pulled", "tiny"), ("net", "protonets", "one_layer")):
        built = build_recognizer(learner, backbone, weights="random", frame_size_px=64)
        save_recognizer(tmp_path / f"{name}.safetensors", built, config={})
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(own_parts)])
    with pytest.raises(DataError, match=r"head\.safetensors.*unknown head 'pulled_means'"):
        load_recognizer(tmp_path / "head.safetensors")
    with pytest.raises(DataError, match=r"net\.safetensors.*unknown backbone 'one_layer'"):
        load_recognizer(tmp_path / "net.safetensors")


BROKEN = {
    "broken_parts/__init__.py": "",
    "broken_parts/raises.py": "raise ImportError('no module\\nnamed gpu')\n",
    "broken_parts/stops.py": "raise SystemExit(3)\n",
    "broken_parts/odd.py": "RECORD = 7\n",
    "broken_parts/short.py": "from orbit_lite.models.heads.record import HeadRecord as R\nRECORD = R(name='short')\n",
    "broken_parts/renamed.py": "from orbit_lite.models.heads.prototypes import RECORD\n",
    "broken_parts/learners/__init__.py": "",
    "broken_parts/learners/wrong.yaml": "{head: proto, extractor: learned, stpes: 3}\n",
    "broken_parts/learners/listed.yaml": "- 1\n",
}
BROKEN_ENTRY_POINTS = """
[orbit_lite.heads]
raises = broken_parts.raises:RECORD
stops = broken_parts.stops:RECORD
absent = broken_parts.absent:RECORD
lacks = broken_parts.odd:NOTHING
odd = broken_parts.odd:RECORD
short = broken_parts.short:RECORD
renamed = broken_parts.renamed:RECORD
cosine = broken_parts.odd:RECORD
[orbit_lite.backbones]
odd = broken_parts.odd:RECORD
tiny = broken_parts.odd:RECORD
[orbit_lite.learners]
wrong = broken_parts.learners
listed = broken_parts.learners
nowhere = broken_parts.learners
raises = broken_parts.raises
protonets = broken_parts.learners
"""
WHERE = "of package broken-parts 1.0"


@pytest.fixture
def broken(site) -> Path:
    install(site, BROKEN, BROKEN_ENTRY_POINTS, name="broken-parts")
    return site


@pytest.mark.parametrize(
    ("find", "name", "words"),
    [
        (find_head, "raises", f"head 'raises' {WHERE} can't be imported .ImportError: no module named gpu"),
        (find_head, "stops", f"head 'stops' {WHERE} can't be imported .SystemExit: 3"),
        (find_head, "absent", f"head 'absent' {WHERE} can't be imported .ModuleNotFoundError"),
        (find_head, "lacks", f"head 'lacks' {WHERE} can't be imported .AttributeError"),
        (find_head, "odd", f"head 'odd' {WHERE} is a int; expected a HeadRecord"),
        (find_head, "short", f"head 'short' {WHERE} can't be imported .TypeError: .*'adds_objects'"),
        (find_head, "renamed", f"head 'renamed' {WHERE}: the record's name is 'proto'"),
        (
            find_head,
            "cosine",
            "head 'cosine' is built in, but package broken-parts 1.0 adds another with the same name",
        ),
        (find_backbone, "odd", f"backbone 'odd' {WHERE} is a int; expected a Backbone"),
        (find_backbone, "tiny", "backbone 'tiny' is built in, but package broken-parts 1.0 adds another"),
        (load_learner, "wrong", f"learner 'wrong' {WHERE}, wrong.yaml: unknown key 'stpes' .did you mean 'steps'"),
        (load_learner, "listed", f"learner 'listed' {WHERE}, listed.yaml: expected a mapping of keys, got list"),
        (load_learner, "nowhere", f"learner 'nowhere' {WHERE}: expected a package that holds nowhere.yaml"),
        (load_learner, "raises", f"learner 'raises' {WHERE} can't be imported .ImportError"),
        (load_learner, "protonets", "learner 'protonets' is built in, but package broken-parts 1.0 adds another"),
    ],
)
def test_a_broken_package_is_one_line_where_its_name_is_used(broken, find, name, words):
    with pytest.raises(UsageError, match=words) as refused:
        find(name)
    assert "\n" not in str(refused.value)


def test_a_broken_package_affects_nothing_else(broken, own_parts):
    assert find_head("pulled_means").meta_learned and find_head("proto").name == "proto"
    assert find_backbone("one_layer").width == 64
    assert load_learner("pulled").head == "pulled_means" and load_learner("cnaps").head == "versa"
    assert LearnerConfig(head="proto", extractor="frozen").head == "proto"


def test_two_packages_with_one_name_are_refused(own_parts):
    install(own_parts, {}, "[orbit_lite.heads]\npulled_means = own_parts.heads:RECORD\n", name="other-parts")
    with pytest.raises(UsageError, match=r"package .*-parts 1.0 and package .*-parts 1.0: two packages use this name"):
        find_head("pulled_means")


def test_help_and_other_learners_do_not_import_a_package(broken):
    """In a separate process, as for a user."""
    (broken / "broken_parts" / "__init__.py").write_text("print('imported')\n")
    environment = {"PYTHONPATH": f"{broken}:{ROOT}", "PATH": "", "OMP_NUM_THREADS": "1"}

    def orbit_lite(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orbit_lite", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=broken)

    helped = orbit_lite("--help")
    assert helped.returncode == 0 and "imported" not in helped.stdout and "Traceback" not in helped.stderr
    count = ("--repeats", 0, "--way", 2, "--support", 2)
    counted = orbit_lite("cost", "--model", "cnaps", "--backbone", "resnet18", *count)
    assert counted.returncode == 0 and "imported" not in counted.stdout, counted.stderr
    mine = written(broken, "{head: raises, extractor: frozen}")
    failed = orbit_lite("cost", "--model", mine, "--backbone", "resnet18", *count)
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1 and WHERE in failed.stderr
