from data_prep.index import open_index
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.experiment import load_experiment
from orbit_lite.training_tasks import ChosenTasks, Steps, TrainingTasks


def test_steps_of_the_2023_settings():
    steps = Steps(tasks_an_epoch=44 * 50, tasks_a_step=16, epochs=30)
    assert steps.an_epoch == 138  # 2,200 / 16, the last one short: FACTS of the 2023 settings
    assert len(steps.tasks_of(137)) == 2200 - 137 * 16
    numbers = [number for step in range(2 * 138) for number in steps.tasks_of(step)]
    assert numbers == list(range(2 * 2200))


def test_an_epoch_has_every_users_tasks_once_and_no_task_comes_twice(pocket_frames):
    plan = load_experiment("pocket", ["tasks.tasks_per_user=2"]).tasks
    drawer = TaskDrawer(open_index(pocket_frames), plan, split="train", seed=1)
    training = TrainingTasks(drawer)
    tasks = list(ChosenTasks(training, range(2 * training.an_epoch)))
    assert sorted((t.user, t.task) for t in tasks) == [(user, n) for user in drawer.users for n in range(4)]
    assert {t.task for t in tasks[:6]} == {0, 1}
    assert list(ChosenTasks(training, range(5, 12))) == tasks[5:]
