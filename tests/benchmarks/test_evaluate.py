from benchmarks import evaluate
from benchmarks.evaluate import Size, predict_plainly
from data_prep.index import open_index
from orbit_lite.config import load_protocol
from orbit_lite.data.frames import open_frames
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.predict import predict

SMALL = Size(users=1, objects=2, clean_videos=1, clutter_videos=1, tasks=6, plain_tasks=2)


def test_both_sides():
    (comparison,) = evaluate.run(SMALL, repeats=1)
    assert comparison.first[0] == "each frame once"
    assert comparison.second[0] == "each task anew (scaled from 2 a user)"
    assert comparison.first[1].median > 0
    assert comparison.second[1].median > 0
    assert comparison.setting == "tiny, orbit-2022, users: 1, tasks a user: 6"


def test_both_sides_predict_the_same(pocket_frames):
    index = open_index(pocket_frames)
    source, recognizer = open_frames(index), build_recognizer("protonets", "tiny", weights="random")
    tasks = TaskDrawer(index, load_protocol("orbit-2022"), split="test", seed=0).draw_all(tasks_per_user=1)
    plain = [answer for answers in predict_plainly(recognizer, tasks, source) for answer in answers.tolist()]
    table = predict(recognizer, tasks, index, source, quiet=True)
    differ = sum(a != b for a, b in zip(table.prediction.tolist(), plain, strict=True))
    assert differ <= 0.01 * len(plain)  # ties fall either way by rounding, for batches are cut differently
