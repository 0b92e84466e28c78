"""`python -m benchmarks.gradients`: how far are gradients that fit into memory from the true one? Not a speed test.

Each estimator computes the gradient of one task of drawn objects a few hundred times. With the full gradient g, this
gives, relative to |g|:

    bias    |mean of all draws - g|, which averaging does not reduce
    RMSE    root mean square of |one draw - g|, bias and noise combined

See `bias` for how they are separated.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.bias import BLOCKS, error_of
from benchmarks.gradients_report import Row, as_csv, as_markdown, as_svg
from benchmarks.measure import one_core
from benchmarks.record import write_csv_and_svg
from data_prep.pocket.pocket_set import PocketSettings, PocketVideo, draw_video, plan_videos
from groundwork.command_line import CommandParser, run_command
from groundwork.options import WritesFolder, run_verb, with_own_parser
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.gradients.film_penalty import PUBLISHED_WEIGHT
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAME = "lite-gradients"
DRAWS = 240
SIZE_PX = 32
CHUNKS = Chunks(no_graph=16, with_graph=16, query=16)  # fast for this size
PARTS = {  # prefix of parameter names -> meta-trained part
    "extractor.": "extractor",
    "adapter.set_encoder.": "set encoder",
    "adapter.generator.": "FiLM generator",
    "head.": "Versa",
}

Estimate = Callable[[Recognizer, TaskPixels, int, np.random.Generator], None]


def lite(recognizer: Recognizer, pixels: TaskPixels, h: int, rng: np.random.Generator) -> None:
    """The kit's estimator."""
    task_gradient(recognizer, pixels, h=h, rng=rng, chunks=CHUNKS)


def small_task(recognizer: Recognizer, pixels: TaskPixels, h: int, rng: np.random.Generator) -> None:
    """The exact gradient of a task with only h of the support images, a common remedy for lack of memory.

    It takes one image per object and the others at random; if h is less than the number of objects, some objects and
    their queries are dropped.
    """
    order = rng.permutation(len(pixels.support))
    labels = pixels.support_labels.numpy()[order]
    firsts = np.sort(np.unique(labels, return_index=True)[1])  # the first index of each object in the order
    kept = torch.from_numpy(np.concatenate([order[firsts], np.delete(order, firsts)])[:h])
    objects = pixels.support_labels[kept].unique()
    asked = torch.isin(pixels.query_labels, objects)
    smaller = TaskPixels(
        support=pixels.support[kept],
        support_labels=torch.searchsorted(objects, pixels.support_labels[kept]),
        query=pixels.query[asked],
        query_labels=torch.searchsorted(objects, pixels.query_labels[asked]),
        way=len(objects),
    )
    task_gradient(recognizer, smaller, h=h, rng=rng, estimator="exact", chunks=CHUNKS)


def published_scaling(recognizer: Recognizer, pixels: TaskPixels, h: int, rng: np.random.Generator) -> None:
    """The published code's scaling: N/h times the whole loss, including its exact query path.

    In that code, no gradient passes through the head's fit, and the h drawn images have a graph only in the set
    encoder. The penalty, a few thousandths of the gradient, is not scaled.
    """
    extractor, adapter, count = recognizer.extractor, recognizer.adapter, len(pixels.support)
    drawn = torch.from_numpy(rng.choice(count, size=min(h, count), replace=False))
    state, penalty = None, torch.zeros(())
    if isinstance(adapter, FilmAdapter):
        with torch.no_grad():
            encodings = adapter.encode(extractor, pixels.support)
        encodings = encodings.index_copy(0, drawn, adapter.encode(extractor, pixels.support[drawn]))
        state, penalty = adapter.film(extractor, encodings), PUBLISHED_WEIGHT * adapter.squares()
    with torch.no_grad():
        support = extractor.encode(pixels.support, state=state)
        head = recognizer.head.fit(support, pixels.support_labels, way=pixels.way)
    loss = F.cross_entropy(head.logits(extractor.encode(pixels.query, state=state)), pixels.query_labels)
    torch.autograd.backward(loss * (count / h) + penalty)


ESTIMATORS: dict[str, Estimate] = {"lite": lite, "small task": small_task, "published": published_scaling}


FEWER = {"published": 5}  # its gradient varies little or not at all, so a fifth of the draws is enough


def study(
    learners: Sequence[str] = ("protonets", "cnaps"),
    *,
    hs: Sequence[int] = (1, 4, 8, 16, 32),
    draws: int = DRAWS,
    seed: int = 0,
    quiet: bool = False,
) -> list[Row]:
    """Measure every estimator for every part of each learner, on one core.

    Args:
        learners: names of built-in learners.
        hs: numbers of support images with a gradient.
        draws: draws per estimator, at least 5 times BLOCKS; rounded down to a multiple of BLOCKS.
        seed: the seed of weights, images and draws.
    """
    pixels = draw_task(seed=seed)
    cases = [(learner, estimator, h) for learner in learners for estimator in ESTIMATORS for h in hs]
    wanted = {case: draws // FEWER.get(case[1], 1) // BLOCKS * BLOCKS for case in cases}
    rows = []
    with one_core(), Progress("gradients", sum(wanted.values()), quiet=quiet) as progress:
        for (learner, estimator, h), count in wanted.items():
            recognizer = build_recognizer(learner, "tiny", weights="random", seed=seed, frame_size_px=SIZE_PX)
            keys = (learner, estimator, h)
            rows += measure(recognizer, pixels, keys, draws=count, seed=seed, advance=progress.advance)
    return rows


def measure(
    recognizer: Recognizer,
    pixels: TaskPixels,
    keys: tuple[str, str, int],
    *,
    draws: int,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> list[Row]:
    """One row per meta-trained part. `keys`: learner, estimator, h. `draws`: a multiple of BLOCKS."""
    _, estimator, h = keys
    recognizer.zero_grad(set_to_none=True)
    task_gradient(recognizer, pixels, h=len(pixels.support), rng=keyed_rng(seed, "full"), estimator="full")
    full = _gradients(recognizer)
    sums = {part: torch.zeros(BLOCKS, len(value), dtype=torch.float64) for part, value in full.items()}
    squares = dict.fromkeys(full, 0.0)
    for draw in range(draws):
        recognizer.zero_grad(set_to_none=True)
        ESTIMATORS[estimator](recognizer, pixels, h, keyed_rng(seed, "gradients", *keys, draw))
        for part, value in _gradients(recognizer).items():
            error = value - full[part]
            sums[part][draw % BLOCKS] += error
            squares[part] += float(error @ error)
        advance()
    return [
        _row(keys, part, full[part], sums[part] * (BLOCKS / draws), squares[part] / draws, draws=draws) for part in full
    ]


def draw_task(*, seed: int) -> TaskPixels:
    """The task of a user of the pocket set: 5 objects, N = 75 support images (5 per clean video), M = 40 (4 per clutter
    video)."""
    settings = PocketSettings((0, 0, 1), objects=5, clean_videos=3, clutter_videos=2, seed=seed)
    found: dict[str, list[tuple[Tensor, int]]] = {"clean": [], "clutter": []}
    for video in plan_videos(settings):
        frames = _frames(video, settings, count=5 if video.video_type == "clean" else 4)
        found[video.video_type] += [(frame, video.object_number) for frame in frames]
    (support, labels), (query, query_labels) = (
        (torch.stack([frame for frame, _ in of]), torch.tensor([label for _, label in of])) for of in found.values()
    )
    return TaskPixels(support, labels, query, query_labels, way=settings.objects)


def _frames(video: PocketVideo, settings: PocketSettings, *, count: int) -> list[Tensor]:
    """Evenly spaced frames, cropped to the central square, RGB uint8 (3, s, s)."""
    pictures = [frame.picture for frame in draw_video(video, settings)]
    chosen = [pictures[place] for place in np.linspace(0, len(pictures) - 1, count).round().astype(int)]
    side = min(chosen[0].shape[:2])
    top, left = ((length - side) // 2 for length in chosen[0].shape[:2])
    squares = [picture[top : top + side, left : left + side, ::-1] for picture in chosen]
    small = [cv2.resize(square, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA) for square in squares]
    return [torch.from_numpy(square).permute(2, 0, 1) for square in small]


def _gradients(recognizer: Recognizer) -> dict[str, Tensor]:
    """The gradient of each part as one vector, float64."""
    found: dict[str, list[Tensor]] = {}
    for name, value in recognizer.named_parameters():
        if value.requires_grad:
            part = next(part for start, part in PARTS.items() if name.startswith(start))
            gradient = torch.zeros_like(value) if value.grad is None else value.grad
            found.setdefault(part, []).append(gradient.flatten())
    return {part: torch.cat(values).double() for part, values in found.items()}


def _row(keys: tuple[str, str, int], part: str, full: Tensor, blocks: Tensor, square: float, *, draws: int) -> Row:
    """Make a row. `blocks`: mean errors, (BLOCKS, numbers). `square`: the mean of |error|^2."""
    error = error_of(full, blocks, square)
    return Row(
        *(keys[0], part, keys[1], keys[2], draws),
        bias_squared=error.bias_squared,
        bias_squared_standard_error=error.bias_squared_standard_error,
        bias_at_most=error.bias_at_most,
        rmse=error.rmse,
        cosine=error.cosine,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, write `lite-gradients.csv` and `.svg`, and print the table. Exit status as for other commands."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.draws < max(FEWER.values()) * BLOCKS:
        parser.error(f"--draws {options.draws}: expected at least {max(FEWER.values()) * BLOCKS}")
    return run_command("benchmarks", options, lambda: run_verb(options))


def _parser() -> CommandParser:
    parser = CommandParser(prog="python -m benchmarks.gradients", description=main.__doc__)
    parser.add_argument("--out", type=WritesFolder(), default=DOCS, help="folder of the two files (default: docs)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"draws per estimator (default: {DRAWS})")
    parser.set_defaults(run=lambda options: _run(options.draws, options.out))
    return with_own_parser(parser)


def _run(draws: int, out: Path) -> None:
    rows = study(draws=draws)
    paths = write_csv_and_svg(out, NAME, as_csv(rows), as_svg(rows))
    print(as_markdown(rows), *paths, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
