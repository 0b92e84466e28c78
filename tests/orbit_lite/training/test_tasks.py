import pytest

from data_prep.tree.index import Index, VideoRow, open_index
from orbit_lite.config import load_protocol
from orbit_lite.data.episodes import EpisodeSampler
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.tasks import ChosenTasks, Steps, TrainingTasks


def test_steps_of_the_2023_settings():
    steps = Steps(tasks_per_epoch=44 * 50, tasks_per_step=16, epochs=30)
    assert steps.per_epoch == 138  # 2,200 / 16, with a short last step, as in the 2023 settings
    assert len(steps.tasks_of(137)) == 2200 - 137 * 16
    numbers = [number for step in range(2 * 138) for number in steps.tasks_of(step)]
    assert numbers == list(range(2 * 2200))


def test_an_epoch_has_every_users_tasks_once_and_no_task_comes_twice(pocket_frames):
    plan = load_experiment("pocket", ["tasks.tasks_per_user=2"]).tasks
    sampler = TaskSampler(open_index(pocket_frames), plan, split="train", seed=1)
    training = TrainingTasks(sampler)
    tasks = list(ChosenTasks(training, range(2 * training.per_epoch)))
    assert sorted((t.user, t.task) for t in tasks) == [(user, n) for user in sampler.users for n in range(4)]
    assert {t.task for t in tasks[:6]} == {0, 1}
    assert list(ChosenTasks(training, range(5, 12))) == tasks[5:]


def made_tasks(root, tasks_per_user, seed=1991):
    """Training tasks of two users, from an index without pixels."""
    rows = [
        VideoRow(
            "", user, thing, video_type, f"{user}--{thing}--{video_type}--a", 40, f"{user}/{thing}/{video_type}", "0"
        )
        for user in ("P1", "P2")
        for thing in ("bag", "cup")
        for video_type in ("clean", "clutter")
    ]
    plan = load_protocol("own-videos").model_copy(update={"tasks_per_user": tasks_per_user})
    return TrainingTasks(TaskSampler(Index(root, "frames", tuple(rows)), plan, split="train", seed=seed))


def test_the_order_of_training_tasks_is_the_one_written_down(tmp_path):
    """Changing it changes all trained weights."""
    training = made_tasks(tmp_path, 3)
    tasks = [training.task(number) for number in range(2 * training.per_epoch)]
    assert [f"{task.user} {task.task}" for task in tasks[:6]] == ["P2 0", "P2 1", "P2 2", "P1 1", "P1 0", "P1 2"]
    assert [f"{task.user} {task.task}" for task in tasks[6:]] == ["P1 3", "P1 5", "P2 5", "P1 4", "P2 3", "P2 4"]


@pytest.mark.parametrize(("tasks", "a_step", "epochs"), [(5, 2, 3), (4, 2, 2), (3, 5, 2), (1, 1, 1), (7, 7, 2)])
def test_steps_take_every_task_once_and_none_of_the_next_epoch(tasks, a_step, epochs):
    steps = Steps(tasks_per_epoch=tasks, tasks_per_step=a_step, epochs=epochs)
    taken = [list(steps.tasks_of(step)) for step in range(steps.total)]
    assert [number for numbers in taken for number in numbers] == list(range(tasks * epochs))
    assert all(1 <= len(numbers) <= a_step for numbers in taken)
    assert all(len({number // tasks for number in numbers}) == 1 for numbers in taken)
    assert sum(len(numbers) < a_step for numbers in taken) == (epochs if tasks % a_step else 0)


def test_tasks_in_all_are_of_a_source_drawn_for_each_and_none_comes_twice(tmp_path):
    rows = [
        VideoRow("train", source, f"c{c}", "clean", f"{source}--c{c}--clean--{n}", 1, f"{source}/{c}/{n}", "0")
        for source in ("birds", "signs")
        for c in range(6)
        for n in range(4)
    ]
    plan = load_protocol("meta-dataset", ["tasks=40"])
    training = TrainingTasks(EpisodeSampler(Index(tmp_path, "frames", tuple(rows)), plan, split="train", seed=1))
    assert training.per_epoch == 40
    tasks = list(ChosenTasks(training, range(80)))
    assert [task.task for task in tasks] == list(range(80))
    assert {task.user for task in tasks[:40]} == {"birds", "signs"}
