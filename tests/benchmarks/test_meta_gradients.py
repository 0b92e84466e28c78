import csv
import io
from pathlib import Path

import pytest
import torch

from benchmarks import meta_gradients
from benchmarks.bias import BLOCKS, Error, error_of_draws, error_without_chance
from benchmarks.meta_gradients import gradients, questions, small_task, study
from benchmarks.meta_gradients_report import TITLES, Row, as_csv, as_markdown, as_svg
from benchmarks.record import write_csv_and_svg

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def tiny_study():
    """20 draws of LITE, and all deterministic cases."""
    return study(questions(hs=(16,)), draws=BLOCKS, quiet=True)


def of(rows, learner):
    return {row.estimate: row for row in rows if row.learner == learner}


def within(row, *, errors):
    """Whether a bias of 0 is within this many standard errors of the result."""
    return abs(row.error.bias_squared) <= errors * row.error.bias_squared_standard_error


def test_lite_has_no_bias_and_first_order_has(tiny_study):
    found = of(tiny_study, "maml")
    assert within(found["lite, H=16"], errors=3)
    assert found["lite, H=16"].error.rmse > 0.1  # the error is noise, which averaging removes
    assert found["first order"].bias > 0.3 > found["lite, H=16"].error.bias_at_most
    assert not within(found["first order"], errors=3)
    assert [row.draws for row in tiny_study if row.draws > 1] == [BLOCKS]


def test_windows_come_nearer_than_first_order(tiny_study):
    found = of(tiny_study, "maml")
    assert found["windows of 2"].bias < found["windows of 6"].bias < found["first order"].bias


@pytest.mark.parametrize(
    ("learner", "begins"),
    [("anil_implicit", "head's"), ("anil_implicit", "system's"), ("imaml", "inner"), ("imaml", "steps")],
)
def test_a_more_accurate_solution_is_nearer(tiny_study, learner, begins):
    biases = [row.bias for name, row in of(tiny_study, learner).items() if name.startswith(begins)]
    assert len(biases) == 3
    assert sorted(biases, reverse=True) == biases
    assert biases[-1] < 0.01 < biases[0]


def test_the_task_is_of_five_objects_evenly():
    pixels = small_task(seed=0)
    assert torch.bincount(pixels.support_labels).tolist() == [5] * 5
    assert torch.bincount(pixels.query_labels).tolist() == [4] * 5


def test_the_same_seed_gives_the_same_gradients():
    lite, pixels = questions(hs=(2,))[0].cases[-1], small_task(seed=0)
    first, second = gradients(lite, pixels, count=2, seed=1)
    (again,), (other,) = (gradients(lite, pixels, count=1, seed=seed) for seed in (1, 2))
    assert again.equal(first)
    assert not second.equal(first)  # another draw
    assert not other.equal(first)


def test_an_error_is_in_units_of_the_true_gradient():
    true = torch.tensor([3.0, 4.0], dtype=torch.float64)
    error = error_without_chance(true, torch.tensor([3.0, 0.0], dtype=torch.float64))
    assert error.rmse == pytest.approx(0.8)  # 4 of 5
    assert error.bias_squared == pytest.approx(0.64)
    assert error.cosine == pytest.approx(0.6)  # 9 / (5 * 3)
    assert error.bias_at_most == error.rmse


def test_differences_between_draws_are_not_bias():
    true = torch.tensor([1.0, 0.0], dtype=torch.float64)
    draws = [true + torch.tensor([0.0, 2.0 * (-1) ** (number // BLOCKS)], dtype=torch.float64) for number in range(40)]
    error = error_of_draws(true, draws, count=40)
    assert error.rmse == pytest.approx(2)
    assert error.bias_squared == pytest.approx(0, abs=1e-12)
    assert error.cosine == pytest.approx(1)


def row(learner="maml", estimate="lite, H=4", draws=80, **changed) -> Row:
    numbers = {"bias_squared": -0.01, "bias_squared_standard_error": 0.02, "rmse": 2.0, "cosine": 0.98}
    return Row(learner, estimate, draws, Error(**(numbers | changed)))


def test_the_table_gives_a_standard_error_where_there_were_draws():
    once = row("imaml", "steps of CG: 1", 1, bias_squared=0.25, bias_squared_standard_error=0.0, rmse=0.5, cosine=0.9)
    lines = as_markdown([row(), once]).splitlines()
    assert lines[-2] == "| MAML, second order | lite, H=4 | 80 | 0 | -0.010 ± 0.020 | 2.00 | 0.98 |"
    assert lines[-1].endswith("| steps of CG: 1 | 1 | 0.50 | 0.25 | 0.50 | 0.9000 |")


def test_files_are_the_same_for_the_same_numbers(tmp_path, tiny_study):
    paths = write_csv_and_svg(tmp_path, "found", as_csv(tiny_study), as_svg(tiny_study))
    assert [path.name for path in paths] == ["found.csv", "found.svg"]
    assert len(list(csv.reader(paths[0].open()))) == 1 + len(tiny_study)
    assert as_svg(tiny_study) == paths[1].read_bytes()


@pytest.mark.parametrize("draws", ["0", "30"])
def test_draws_that_make_no_blocks_are_a_usage_error(capsys, draws):
    with pytest.raises(SystemExit) as stop:
        meta_gradients.main(["--draws", draws])
    assert stop.value.code == 2
    assert f"--draws {draws}: expected a multiple of 20" in capsys.readouterr().err


def docs_rows() -> list[Row]:
    rows = []
    for line in csv.DictReader(io.StringIO((DOCS / "meta-gradients.csv").read_text())):
        learner, estimate, draws, *numbers = line.values()
        rows.append(Row(learner, estimate, int(draws), Error(*map(float, numbers))))
    return rows


def test_the_docs_hold_what_was_measured():
    """CSV, table and figure come from the same run and cover all questions."""
    rows = docs_rows()
    assert as_csv(rows) == (DOCS / "meta-gradients.csv").read_text()
    assert as_markdown(rows) in (DOCS / "gradient-learners.md").read_text()
    assert [(row.learner, row.estimate) for row in rows] == [
        (question.name, case.name) for question in questions() for case in question.cases
    ]
    assert {row.learner for row in rows} == set(TITLES)
    assert all(within(row, errors=4) for row in rows if row.draws > 1)
