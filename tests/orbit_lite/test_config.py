from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from data_prep.tree.index import open_index
from groundwork.errors import UsageError
from orbit_lite.config import builtin_names, configs_folder, load_protocol
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.evaluation.suite import load_suite
from orbit_lite.models.learner import load_learner
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.training.experiment import OptimizerConfig, load_experiment
from orbit_lite.training.optimizer import build_optimizer


def test_every_yaml_under_configs_loads():
    """Found by walking the folder, so that new files are checked automatically."""
    loaders = {"protocol": load_protocol, "experiment": load_experiment, "learner": load_learner}
    loaders["suite"] = load_suite
    files = sorted(configs_folder().rglob("*.yaml"))
    assert {path.relative_to(configs_folder()).parts[0] for path in files} <= set(loaders)
    for path in files:
        kind, *place = path.relative_to(configs_folder()).with_suffix("").parts
        assert loaders[kind](str(path)).name == "/".join(place)
        assert loaders[kind]("/".join(place)).name == "/".join(place)


def test_the_contracts_protocols_are_built_in():
    assert {"orbit-2021-cle-ve", "orbit-2021-clu-ve", "orbit-2022", "own-videos"} <= set(builtin_names("protocol"))


def test_an_unknown_key_names_file_key_and_nearest(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(Path(configs_folder() / "experiment" / "pocket.yaml").read_text().replace("  name: adamw", ""))
    path.write_text(path.read_text().replace("weight_decay", "weight_decya"))
    with pytest.raises(UsageError, match=r"mine\.yaml: .*optimizer\.weight_decya.*did you mean 'weight_decay'"):
        load_experiment(str(path))


@pytest.mark.parametrize("kind", ["protocol", "learner", "experiment"])
def test_a_doubled_key_names_file_key_and_both_lines(tmp_path, kind):
    """In every file that is read, including those that another extends."""
    load = {"protocol": load_protocol, "learner": load_learner, "experiment": load_experiment}[kind]
    path = tmp_path / "mine.yaml"
    content = yaml.safe_load((configs_folder() / kind / f"{builtin_names(kind)[0]}.yaml").read_text())
    text = yaml.safe_dump(content, default_flow_style=False)
    key = text.partition(":")[0]
    path.write_text(f"{text}{key}: 1\n")
    said = rf"mine\.yaml: key '{key}' appears twice, lines 1 and {text.count(chr(10)) + 1};"
    with pytest.raises(UsageError, match=said):
        load(str(path))
    if kind == "experiment":
        (tmp_path / "other.yaml").write_text(f"extends: {path}\nname: other\n")
        with pytest.raises(UsageError, match=said):
            load(str(tmp_path / "other.yaml"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["lite={h: 1, h: 2}"], "'lite={h: 1, h: 2}': key 'h' appears twice"),
        (["lite.h=1", "seed=2", "lite.h=2"], "key 'lite.h' is given twice, 'lite.h=1' and 'lite.h=2'"),
    ],
)
def test_doubled_keys_on_the_command_line_are_refused(overrides, said):
    with pytest.raises(UsageError) as error:
        load_experiment("pocket", overrides)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("epochs=-1", "epochs: .*greater than or equal to 0, got -1"),
        ("epochs=0", "epochs 0, but learner protonets has something to meta-train"),
        ("learner=finetuner", "epochs 4, but learner finetuner has nothing to meta-train"),
        ("learner=protonet", "unknown learner 'protonet' .*did you mean 'protonets'"),
        ("learner={head: linear, extractor: learned}", "head 'linear' passes no gradient"),
        (
            "learner={head: prto, extractor: learned}",
            "learner.head: unknown head 'prto' .*did you mean 'proto'.*cosine",
        ),
        (
            "learner={head: cosine, extractor: learned, head_settings: {scal: 8}}",
            "learner.head_settings: unknown key 'scal' .*did you mean 'scale'.*; known keys: scale$",
        ),
        (
            "learner={head: cosine, extractor: learned, head_settings: {scale: -1}}",
            "learner.head_settings: scale: .*greater than 0, got -1$",
        ),
        ("learner={head: proto, extractor: learned, head_settings: {scale: 1}}", "unknown key 'scale'"),
        ("learner={head: proto, extractor: learned, head_settings: 3}", "learner.head_settings: .*dictionary, got 3"),
        ("lite.h=0", "lite.h: .*greater than or equal to 1, got 0"),
        ("optimizer.lr=.inf", "optimizer.lr: .*finite number, got inf"),
        ("optimizer.weight_decay=.nan", "optimizer.weight_decay: .*finite number, got nan"),
        ("optimizer.betas=[0.9, 1]", "optimizer.betas.1: .*less than 1, got 1"),
        ("epochs=many", "epochs: .*integer.*got 'many'"),
        ("epoch=3", "unknown key 'epoch' .*did you mean 'epochs'"),
        ("lite.estimator=paper", "lite.estimator: .*'lite', 'exact' or 'full'.*got 'paper'"),
        ("epochs", "expected key=value"),
        ("epochs.x=1", "is a value and has no keys"),
        ("tasks.support.frames.sample=clips", "clip_length"),
    ],
)
def test_a_bad_override_is_one_clear_line(override, said):
    with pytest.raises(UsageError, match=said) as error:
        load_experiment("pocket", [override])
    assert "\n" not in str(error.value)


def test_a_wrong_value_names_the_overrides_beside_the_file():
    """Otherwise the message would blame a file that is right."""
    with pytest.raises(UsageError, match=r"episodes-5w1s\.yaml with way=1, shot=2: way: .*got 1$"):
        load_protocol("episodes-5w1s", ["way=1", "shot=2"])
    with pytest.raises(UsageError, match=r"pocket\.yaml with epochs=x: epochs: .*got 'x'$"):
        load_experiment("pocket", ["epochs=x"])


def test_a_heads_own_settings_are_complete_in_the_config_and_reach_the_head():
    """Complete, so that a checkpoint stores even default values, since defaults can change."""
    assert load_learner("protonets_cosine").head_settings == {"scale": 32.0}
    assert load_learner("protonets").head_settings == {}
    config = load_experiment("pocket", ["learner={head: cosine, extractor: learned, head_settings: {scale: 8}}"])
    assert build_recognizer(config.learner, "tiny", weights="random").head.scale == 8


def test_an_experiments_tasks_may_be_a_protocol_by_name(tmp_path):
    """'orbit-lite tasks' with the same name draws the tasks that are trained on."""
    assert load_experiment("pocket").tasks == load_protocol("pocket-training")
    assert load_experiment("pocket", ["tasks.tasks_per_user=2"]).tasks.tasks_per_user == 2
    path = tmp_path / "mine.yaml"
    text = (configs_folder() / "experiment" / "pocket.yaml").read_text()
    path.write_text(text.replace("tasks: pocket-training", "tasks: pocket-trainign"))
    with pytest.raises(UsageError, match="did you mean 'pocket-training'"):
        load_experiment(str(path))


def test_overrides_reach_inner_keys():
    config = load_experiment("pocket", ["optimizer.lr=0.5", "lite.h=3", "optimizer.betas=[0.5, 0.6]"])
    assert (config.optimizer.lr, config.lite.h, config.optimizer.betas) == (0.5, 3, (0.5, 0.6))


def test_configs_are_frozen():
    with pytest.raises(ValidationError):
        load_experiment("pocket").epochs = 3


@pytest.mark.parametrize("name", ["orbit-2023", "orbit-2022.yaml", "../experiment/pocket"])
def test_an_unknown_protocol_lists_the_known(name):
    with pytest.raises(UsageError, match="orbit-2022") as error:
        load_protocol(name)
    assert name in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "!!python/object/apply:os.system ['true']"])
def test_a_file_that_is_not_a_config_is_one_line(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.yaml") as error:
        load_protocol(str(path))
    assert "\n" not in str(error.value)


OF_IMAGES = [name for name in builtin_names("experiment") if name.startswith(("vtab-md/", "pocket-episodes/"))]
OF_VIDEOS = [name for name in builtin_names("experiment") if name not in OF_IMAGES]


def test_every_leaderboard_row_has_its_experiment():
    """4 backbones for the ProtoNets, two for the others. For 2021: three with LITE, two by steps, four at 84 px."""
    wide, narrow = (
        ("efficientnet_b0", "efficientnet_v2_s", "vit_b_32", "vit_b_32_clip"),
        ("efficientnet_b0", "vit_b_32_clip"),
    )
    rows = {f"{learner}-{backbone}" for learner in ("protonets", "protonets_cosine") for backbone in wide}
    others = ("cnaps", "simple_cnaps", "finetuner", "finetuner_film")
    rows |= {f"{learner}-{backbone}" for learner in others for backbone in narrow}
    rows |= {f"2021-{learner}-efficientnet_b0" for learner in ("protonets", "cnaps", "simple_cnaps")}
    of_2021 = [f"{learner}-efficientnet_b0" for learner in ("maml", "finetuner")]
    of_2021 += [f"{learner}-resnet18" for learner in ("protonets", "cnaps", "maml", "finetuner")]
    rows |= {f"2021-{clean}{row}" for clean in ("", "cle-") for row in of_2021}
    new = {name for name in builtin_names("experiment") if load_experiment(name).learner.name == name.split("-")[0]}
    pocket = {"pocket", "pocket-maml", "pocket-anil-implicit"}
    assert rows | pocket == set(builtin_names("experiment")) - (new - rows) - set(OF_IMAGES)


@pytest.mark.parametrize("name", OF_VIDEOS)
def test_every_experiment_draws_a_training_task_and_builds(name, pocket_frames):
    config = load_experiment(name)
    sampler = TaskSampler(open_index(pocket_frames), config.tasks, split="train", seed=config.seed)
    task = sampler.draw(sampler.users[0], 0)
    assert task.way >= 2 and task.support and task.query
    recognizer = build_recognizer(config.learner, config.backbone, weights="random")
    assert (recognizer.extractor.backbone.name, recognizer.learner) == (config.backbone, config.learner)
    learning = [parameter for parameter in recognizer.parameters() if parameter.requires_grad]
    assert bool(learning) == (config.epochs > 0)
    if learning:
        groups = build_optimizer(recognizer, config.optimizer).param_groups
        assert sum(len(group["params"]) for group in groups) == len(learning)
    TaskSampler(open_index(pocket_frames), load_protocol(config.validation.protocol), split="validation", seed=0)


def experiments(*, of_2021):
    names = [name for name in OF_VIDEOS if not name.startswith("pocket")]
    return [name for name in names if name.startswith("2021-") == of_2021]


@pytest.mark.parametrize("name", experiments(of_2021=False))
def test_every_experiment_of_2022_has_the_published_settings(name):
    """The settings of the 2023 leaderboard rows; others are the optimizer's defaults."""
    found = load_experiment(name)
    learner, backbone = name.rsplit("-", 1)
    assert (found.learner, found.backbone, found.weights) == (load_learner(learner), backbone, "pretrained")
    assert (found.seed, found.tasks_per_step, found.tasks.tasks_per_user, found.frame_size_px) == (1991, 16, 50, 224)
    assert found.tasks == load_protocol("orbit-2022-training")
    assert (found.epochs, found.lite.h) == (30 if found.learner.meta_learned else 0, 16)
    assert (found.validation.protocol, found.validation.tasks_per_user) == ("orbit-2022", 30)
    assert found.lite.estimator == ("exact" if learner == "imaml" else "lite")
    expected = {"name": "adam", "lr": 5e-6, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.2}
    expected |= {"warmup_epochs": 5, "warmup_lr": 1e-6, "warmup": "epoch"}
    expected |= {"decay": "step", "decay_at_epochs": (14,), "decay_factor": 0.5}
    assert found.optimizer == OptimizerConfig(**expected)


@pytest.mark.parametrize("name", experiments(of_2021=True))
def test_every_experiment_of_2021_has_the_published_settings(name):
    """The settings in the papers: with LITE at 224 px, ResNet-18 at 84 px, and the two that adapt by steps."""
    found = load_experiment(name)
    learner, backbone = name.removeprefix("2021-").removeprefix("cle-").rsplit("-", 1)
    by_steps, clean = learner in ("maml", "finetuner"), "-cle-" in name or learner == "simple_cnaps"
    small = backbone == "resnet18"
    assert (found.backbone, found.weights, found.frame_size_px) == (backbone, "pretrained", 84 if small else 224)
    assert (found.seed, found.tasks_per_step, found.tasks.tasks_per_user, found.tasks.clip_length) == (1991, 16, 50, 8)
    assert found.lite.query_batch == 8 * 8
    assert found.lite.h == (8 if learner in ("cnaps", "simple_cnaps") and not small else 16)
    assert found.validation.protocol == f"orbit-2021-{'cle' if clean else 'clu'}-ve"
    if not by_steps:
        assert found.learner == load_learner(learner)
    if learner == "finetuner":
        assert (found.learner.head, found.learner.extractor, found.epochs) == ("inner_loop", "frozen", 0)
        assert (found.learner.steps, found.learner.step_lr) == (50, 0.1)
        return
    assert found.lite.estimator == ("exact" if small or learner == "maml" else "lite")
    assert found.tasks == load_protocol(f"orbit-2021-{'small-' * small}{'clean-' * clean}training")
    assert found.epochs == 10
    of_maml = {"lr": 1e-5, "clamp_gradient": 10} if learner == "maml" else {}
    assert found.optimizer == OptimizerConfig(**{"name": "adam", "lr": 1e-4, "extractor_lr_scale": 0.1} | of_maml)


def test_experiments_that_extend_each_other_in_a_cycle_are_refused(tmp_path):
    path = tmp_path / "ring.yaml"
    path.write_text(f"extends: {path}\nname: ring\n")
    with pytest.raises(UsageError, match="ring"):
        load_experiment(str(path))


def test_a_gradient_that_would_be_biased_is_refused_where_the_experiment_is_read():
    with pytest.raises(UsageError, match=r"imaml has no estimator 'lite'.*use lite\.estimator=exact"):
        load_experiment("pocket", ["learner=imaml"])
    assert load_experiment("pocket", ["learner=imaml", "lite.estimator=exact"]).lite.estimator == "exact"


def test_every_learner_that_can_be_meta_trained_has_an_experiment_of_2022():
    trained = {name for name in builtin_names("learner") if load_learner(name).meta_learned}
    of_2022 = [load_experiment(name) for name in OF_VIDEOS if not name.startswith(("2021-", "pocket"))]
    assert trained <= {config.learner.name for config in of_2022}
    assert {config.validation.protocol for config in of_2022} == {"orbit-2022"}


@pytest.mark.parametrize("name", [name for name in experiments(of_2021=True) if "-maml-" in name])
def test_the_published_maml_has_the_published_inner_loop(name):
    learner = load_experiment(name).learner
    own = learner.adapter_settings
    assert (own["first_order"], own["summed_batches"], own["extractor_lr_scale"]) == (True, 16, 0.1)
    assert (learner.adapter, learner.head, learner.steps, learner.step_lr) == ("inner_loop", "linear", 15, 1e-3)
    assert (own["start"], own["learned_rates"], own["adapts"]) == ("zeros", False, "all")


def test_a_named_learners_settings_can_be_set_one_by_one():
    other = load_experiment("pocket", ["learner=anil_implicit", "learner.head_settings.most_steps=1"]).learner
    assert (other.name, other.head_settings["most_steps"]) == ("anil_implicit", 1)
    config = load_experiment("imaml-efficientnet_b0", ["learner.adapter_settings.residual=null", "learner.steps=7"])
    assert (config.learner.adapter_settings["residual"], config.learner.steps) == (None, 7)
    assert config.learner.adapter_settings["proximal"] == load_learner("imaml").adapter_settings["proximal"]
