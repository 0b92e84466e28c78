from types import SimpleNamespace

import pytest
import torch

from orbit_lite.evaluation import portions
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.evaluation.portions import is_portion_of, portions_of
from orbit_lite.evaluation.predict import predict_users
from orbit_lite.models.choice import ModelChoice
from tests.orbit_lite.evaluation.made_images import make_images

CPU = torch.device("cpu")
FILES = ("tasks.jsonl", "predictions.parquet", "scorecard.json")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("images") / "tree"
    make_images(root, size_px=224, classes=3, count=3)
    return root


@pytest.mark.parametrize(("learner", "lost_at_most"), [("simple_cnaps", 2), ("protonets", 3)])
def test_a_run_cut_off_within_a_source_loses_one_portion(root, tmp_path, monkeypatch, capsys, learner, lost_at_most):
    """Where each task has an extractor of its own, a few tasks; else all of a source, whose features they share."""
    choice = ModelChoice(learner, "tiny", "random")
    asked = {"split": "test", "seed": 3, "tasks_per_user": 3, "protocol_keys": ("way=3", "query=2")}
    request = EvaluateRequest(choice, root, "episodes-5w1s", **asked)
    monkeypatch.setattr(portions, "TASKS_PER_PORTION", 2)
    evaluate(request, tmp_path / "whole", workers=0, device=CPU)
    predicted = []

    def some(*arguments, stop, **how):
        for table in predict_users(*arguments, **how):
            predicted.append(sorted({(user, int(task)) for user, task in zip(table.user, table.task, strict=True)}))
            yield table
            if stop:
                raise KeyboardInterrupt

    name = "orbit_lite.evaluation.evaluate.predict_users"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(name, lambda *a, **how: some(*a, stop=True, **how))
        evaluate(request, tmp_path / "cut", workers=0, device=CPU)
    monkeypatch.setattr(name, lambda *a, **how: some(*a, stop=False, **how))
    evaluate(request, tmp_path / "cut", workers=0, device=CPU)
    tasks = [(source, number) for source in ("birds", "signs") for number in range(3)]
    assert sorted(task for portion in predicted for task in portion) == tasks  # none of them twice
    assert max(map(len, predicted)) == lost_at_most
    log = (tmp_path / "cut" / "log.txt").read_text()
    assert ("predicted before: 2 of 6 tasks" if lost_at_most == 2 else "predicted before: 1 of 2 users") in log
    for file in FILES:
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


USERS = ("P1", "P1--0", "P1.0", "P1.0.portion", "P1.parquet", "P")


def test_the_name_of_a_portion_tells_its_user_whatever_users_are_called():
    tasks = SimpleNamespace(
        tasks=[SimpleNamespace(user=user, task=number) for user in USERS for number in range(12)], single_images=True
    )
    for shares_features in (True, False):
        for portion in portions_of(tasks, shares_features=shares_features):
            assert [user for user in USERS if is_portion_of(portion.name, user)] == [portion.user]
