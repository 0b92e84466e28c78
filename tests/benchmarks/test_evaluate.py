from benchmarks import evaluate
from benchmarks.evaluate import Workload

SMALL = Workload(
    users=2,
    objects=2,
    clean_videos=1,
    clutter_videos=1,
    video_frames=60,
    tasks=4,
    plain_tasks=2,
    learners=(("cnaps", "torch"),),
    backbone="tiny",
)


def test_every_comparison_has_both_sides(monkeypatch):
    monkeypatch.setattr(evaluate, "USERS", 2)
    monkeypatch.setattr(evaluate, "TASKS", 3)
    monkeypatch.setattr(evaluate, "ALL_VIDEOS", 300)
    bare, plain, time, memory = evaluate.run(SMALL)
    assert (
        bare.setting
        == "cnaps, tiny, orbit-2022, users: 2, tasks a user: 4, videos of 60 frames, engine torch"
        == plain.setting
    )
    assert bare.first[0].startswith("the bare engine on ") and bare.second[0] == "each frame once"
    assert plain.first == bare.second and plain.second[0] == "again for each task (scaled from 2 per user)"
    assert time.second[0] == memory.second[0] == "scoring the predictions"
    assert all(side[1].median > 0 for found in (bare, plain, time) for side in (found.first, found.second))


def test_frames_are_counted_once_for_all_tasks(pocket_frames):
    from data_prep.tree.index import open_index
    from orbit_lite.config import load_protocol
    from orbit_lite.data.tasks import TaskSampler

    sampler = TaskSampler(open_index(pocket_frames), load_protocol("orbit-2022"), split="test", seed=0)
    tasks = sampler.draw_all(tasks_per_user=4)
    plans = [plan for task in tasks.tasks for plan in (*task.support, *task.query)]
    assert evaluate._distinct_frames(tasks) == len({(plan.video, frame) for plan in plans for frame in plan.frames})
