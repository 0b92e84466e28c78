"""The VTAB+MD experiments have the published settings and draw from a tree with several sets."""

import pytest

from data_prep.tree.index import build_index, open_index
from orbit_lite.config import builtin_names, load_protocol
from orbit_lite.data.samplers import open_sampler
from orbit_lite.episode_plan import RandomEpisodes
from orbit_lite.models.learner import load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.training.experiment import OptimizerConfig, load_experiment
from orbit_lite.training.optimizer import build_optimizer
from tests.orbit_lite.evaluation.made_images import make_images

LEARNERS = ("simple_cnaps", "ridge", "protonets", "maml_first_order")
WITH, SMALL, WITHOUT = "", "-small-task", "-no-lite-84"
NAMES = {
    f"vtab-md/{learner}-efficientnet_b0{way}": (learner, way) for learner in LEARNERS for way in (WITH, SMALL, WITHOUT)
}

# LITE's code for VTAB+MD (cambridge-mlg/LITE): H, query batch; image size; tasks; most support images; most classes
LITE, SIZE_PX, TASKS = {WITH: 40}, {WITHOUT: 84}, {WITH: 10_000, SMALL: 10_000, WITHOUT: 35_000}
MOST_SUPPORT, MOST_WAY = {WITH: 500, WITHOUT: 300}, {WITH: 50, WITHOUT: 40}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "md"
    for split in ("train", "validation"):
        make_images(root, split=split, same_classes=False, classes=6, count=4)
    build_index(root)
    return open_index(root)


def test_these_are_all():
    assert {name for name in builtin_names("experiment") if name.startswith("vtab-md/")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_the_published_ones(name):
    found, (learner, way) = load_experiment(name), NAMES[name]
    assert (found.learner, found.backbone, found.weights) == (load_learner(learner), "efficientnet_b0", "pretrained")
    assert (found.seed, found.frame_size_px, found.tasks_per_step) == (1991, SIZE_PX.get(way, 224), 16)
    assert found.epochs * found.tasks.tasks == TASKS[way]
    assert found.tasks.tasks == 5000  # validation every 5,000 tasks, on 200 of each set
    assert (found.validation.every_epochs, found.validation.tasks_per_user) == (1, 200)
    assert found.validation.protocol == "meta-dataset"
    assert found.lite.query_batch == 40
    assert (found.lite.estimator, found.lite.h) == ("lite", 40) if way == WITH else found.lite.estimator == "exact"
    sampler = load_protocol("meta-dataset").model_dump() | {"name": found.tasks.name, "tasks": 5000}
    # a small task has as many support images as LITE gives a gradient
    sampler |= {"most_support": MOST_SUPPORT.get(way, LITE[WITH]), "most_way": MOST_WAY.get(way, LITE[WITH])}
    assert found.tasks == RandomEpisodes(**sampler)
    rates = {"simple_cnaps": {"lr": 1e-3}, "maml_first_order": {"lr": 1e-5, "clamp_gradient": 10}}
    rates["maml_first_order"]["extractor_lr_scale"] = 0.1
    of_2021 = {"lr": 1e-4, "extractor_lr_scale": 0.1}
    assert found.optimizer == OptimizerConfig(name="adam", **rates.get(learner, of_2021))


@pytest.mark.parametrize("name", NAMES)
def test_each_draws_a_training_task_and_builds(name, index):
    config = load_experiment(name)
    sampler = open_sampler(index, config.tasks, split="train", seed=config.seed)
    task = sampler.draw(sampler.users[0], 0)
    assert task.way >= 5 and task.support and task.query
    recognizer = build_recognizer(config.learner, config.backbone, weights="random", frame_size_px=config.frame_size_px)
    learning = [parameter for parameter in recognizer.parameters() if parameter.requires_grad]
    groups = build_optimizer(recognizer, config.optimizer).param_groups
    assert learning and sum(len(group["params"]) for group in groups) == len(learning)
    open_sampler(index, load_protocol(config.validation.protocol), split="validation", seed=0)
