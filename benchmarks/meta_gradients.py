"""`python -m benchmarks.meta_gradients`: how far are cheaper gradients from MAML's? Not a speed test.

It uses one task of drawn objects and one network with random weights in float64, and asks two questions:

    for full second-order MAML: the errors of first order, of windows with the same total step, and of LITE; for the
    gradient through a solved problem: the error if the problem, or its linear system, is solved less accurately.

Random estimators are evaluated many times, the others once. See `bias` for bias, RMSE and cosine.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.bias import BLOCKS, error_of_draws, error_without_chance
from benchmarks.gradients import SIZE_PX, draw_task
from benchmarks.measure import one_core
from benchmarks.meta_gradients_report import Row, as_csv, as_markdown, as_svg
from benchmarks.record import write_csv_and_svg
from groundwork.command_line import CommandParser, run_command
from groundwork.options import WritesFolder, run_verb, with_own_parser
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAME = "meta-gradients"
DRAWS = 80
CHUNKS = Chunks(no_graph=25, with_graph=25, query=20)  # quick at this size
STEPS = 6
MAML = {"adapter": "inner_loop", "head": "linear", "steps": STEPS, "step_lr": 0.05}
SOLVED = {"head": "solved"}
PROXIMAL = {"adapter": "proximal", "head": "linear", "step_lr": 0.01}
HOLD = 300.0  # the proximal weight: with 200 this task's residual stays at 2e-5, with 300 it falls below 1e-11
TIGHT = 1e-10  # tolerance for the reference gradients


@dataclass(frozen=True)
class Case:
    """A learner's gradient by an estimator. h: for `lite`, which is random. settings: of the adapter or the head."""

    name: str
    learner: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    estimator: Estimator = "exact"
    h: int = 0

    def recognizer(self, *, seed: int) -> Recognizer:
        """Build the recognizer; all cases with the same seed have the same weights."""
        own = "adapter_settings" if "adapter" in self.learner else "head_settings"
        config = LearnerConfig.model_validate({"extractor": "learned", **self.learner, own: dict(self.settings)})
        return build_recognizer(config, "tiny", weights="random", seed=seed, frame_size_px=SIZE_PX).double()


@dataclass(frozen=True)
class Question:
    """A reference gradient, and the cases to compare with it."""

    name: str
    true: Case
    cases: Sequence[Case]


def questions(*, hs: Sequence[int] = (1, 4, 8, 16)) -> list[Question]:
    """All comparisons of the study."""
    slow = {"extractor_lr_scale": 0.1}
    of_maml = [
        Case("first order", MAML, {**slow, "first_order": True}),
        *(Case(f"windows of {w}", MAML, {**slow, "window": w}) for w in (2, 3, 6)),
        *(Case(f"lite, H={h}", MAML, slow, "lite", h) for h in hs),
    ]
    tight = {"residual": TIGHT, "cg_tolerance": TIGHT}
    of_head = [
        *(Case(f"head's residual {r:g}", SOLVED, {**tight, "residual": r}) for r in (0.3, 0.1, 0.01)),
        *(Case(f"system's residual {r:g}", SOLVED, {**tight, "cg_tolerance": r}) for r in (0.3, 0.1, 0.01)),
    ]
    many, held = {**PROXIMAL, "steps": 20}, {"residual": None, "proximal": HOLD}
    of_network = [
        *(Case(f"inner gradients: {k}", {**PROXIMAL, "steps": k}, {**held, "cg_tolerance": TIGHT}) for k in (1, 2, 4)),
        *(Case(f"steps of CG: {k}", many, {**held, "cg_tolerance": None, "most_cg_steps": k}) for k in (1, 2, 5)),
    ]
    return [
        Question("maml", Case("full", MAML, slow, "full"), of_maml),
        Question("anil_implicit", Case("solved", SOLVED, tight), of_head),
        Question("imaml", Case("solved", many, {**held, "residual": TIGHT, "cg_tolerance": TIGHT}), of_network),
    ]


def study(asked: Sequence[Question], *, draws: int = DRAWS, seed: int = 0, quiet: bool = False) -> list[Row]:
    """Compare every case with its reference gradient, on one core.

    Args:
        asked: some of `questions`.
        draws: draws per random estimator, a multiple of BLOCKS.
        seed: the seed of weights, images and draws.
    """
    pixels = small_task(seed=seed)
    counts = [draws if case.h else 1 for question in asked for case in question.cases]
    rows = []
    with one_core(), Progress("gradients", sum(counts), quiet=quiet) as progress:
        for question in asked:
            (true,) = gradients(question.true, pixels, count=1, seed=seed)
            for case in question.cases:
                if case.h:
                    estimates = gradients(case, pixels, count=draws, seed=seed, advance=progress.advance)
                    error = error_of_draws(true, estimates, count=draws)
                else:
                    (estimate,) = gradients(case, pixels, count=1, seed=seed, advance=progress.advance)
                    error = error_without_chance(true, estimate)
                rows.append(Row(question.name, case.name, draws if case.h else 1, error))
    return rows


def gradients(
    case: Case, pixels: TaskPixels, *, count: int, seed: int, advance: Callable[[], None] = lambda: None
) -> Iterator[Tensor]:
    """Yield the meta-gradient of a case several times, each with an independent draw; float64 (numbers,)."""
    recognizer = case.recognizer(seed=seed)
    for draw in range(count):
        recognizer.zero_grad()
        rng = keyed_rng(seed, "meta-gradients", case.name, draw)
        task_gradient(recognizer, pixels, h=case.h or 1, rng=rng, estimator=case.estimator, chunks=CHUNKS)
        yield torch.cat([value.grad.flatten() for value in recognizer.parameters() if value.grad is not None])
        advance()


def small_task(*, seed: int) -> TaskPixels:
    """A task with a third of the other study's images: 5 objects, N = 25 and M = 20, evenly divided."""
    whole = draw_task(seed=seed)
    return TaskPixels(
        whole.support[::3], whole.support_labels[::3], whole.query[::2], whole.query_labels[::2], whole.way
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, write `meta-gradients.csv` and `.svg`, and print the table. Exit status as for other commands."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.draws < BLOCKS or options.draws % BLOCKS:
        parser.error(f"--draws {options.draws}: expected a multiple of {BLOCKS}")
    return run_command("benchmarks", options, lambda: run_verb(options))


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m benchmarks.meta_gradients", description=main.__doc__)
    parser.add_argument("--out", type=WritesFolder(), default=DOCS, help="folder of the two files (default: docs)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"draws per random estimator (default: {DRAWS})")
    parser.set_defaults(run=lambda options: _run(options.draws, options.out))
    return with_own_parser(parser)


def _run(draws: int, out: Path) -> None:
    rows = study(questions(), draws=draws)
    paths = write_csv_and_svg(out, NAME, as_csv(rows), as_svg(rows))
    print(as_markdown(rows), *paths, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
