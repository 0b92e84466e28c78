"""The leaderboard of published rows and your own: one table per protocol, split, users and number of tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.formats.challenge import UNCHECKED_START
from eval.formats.scorecard import Scorecard
from eval.intervals import BootstrapInterval
from eval.metrics import METRICS
from eval.published import ORBIT_OBJECTS, ORBIT_USERS, PublishedRow, published_rows
from eval.report.tables import summary_of
from eval.score import filter_text
from groundwork.files import csv_text
from groundwork.pages.blocks import Paragraph, Section
from groundwork.pages.cells import percent, printable
from groundwork.pages.markdown import markdown_page
from groundwork.pages.page import html_page
from groundwork.pages.printing import text_table, wrapped_text
from groundwork.pages.table import Table
from groundwork.words import counted

TITLE = "ORBIT leaderboard"
READING = (
    "Numbers of different tables can't be compared. Published rows were not re-run here. The protocol's interval is "
    "1.96 std / sqrt(n) over all videos of all tasks (for single images, over all tasks); it counts the same video "
    "once per task, so it is too narrow for new users. The bootstrap repeatedly draws whole users. MACs to personalize "
    "are a mean over tasks, counted like the published implementation, without attention."
)
PUBLISHED, RECALLED, SCORED = (
    "published, not re-run",
    "published, quoted from memory and not checked, not re-run",
    "scorecard",
)
FIRST = ("orbit-2022", "orbit-2021-clu-ve", "orbit-2021-cle-ve")  # the others follow by name
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


@dataclass(frozen=True)
class BoardKey:
    """What rows in the same table share. `frames` says which of a video's frames are scored."""

    protocol: str
    split: str
    users: str
    tasks_per_user: str
    frames: str
    metric: str

    @property
    def caption(self) -> str:
        """`orbit-2022, test: ORBIT's users, 50 tasks per user, a sample of each video's frames`."""
        head = ", ".join(filter(None, (self.protocol, self.split)))
        tasks = f"{self.tasks_per_user} {'task' if self.tasks_per_user == '1' else 'tasks'} per user"
        return ": ".join(
            filter(None, (head, ", ".join(filter(None, (self.users, self.tasks_per_user and tasks, self.frames)))))
        )


@dataclass(frozen=True)
class Score:
    """One metric: `mean` as a fraction, `printed` in percent with the published digits, intervals as text."""

    mean: float
    printed: str
    protocol_interval: str = ""
    bootstrap: str = ""


@dataclass(frozen=True)
class Row:
    """One line of a table; `scores` by a metric's name in METRICS."""

    model: str
    extractor: str
    scores: dict[str, Score]
    macs: float | None
    parameters: float | None
    standing: str
    source: str
    note: str


@dataclass(frozen=True)
class Board:
    """One table, best frame accuracy first."""

    key: BoardKey
    rows: tuple[Row, ...]


def leaderboard(entries: Iterable[tuple[str, Scorecard]] = (), *, published: bool = True) -> tuple[Board, ...]:
    """Arrange published rows and scorecards in boards. A scorecard joins ORBIT's rows only if it has ORBIT's users and
    objects.

    Args:
        entries: pairs of a name and a scorecard.
        published: whether to include the published rows.
    """
    rows = [_published(row) for row in published_rows()] if published else []
    rows += [_scored(name, card) for name, card in entries]
    boards: dict[BoardKey, list[Row]] = {}
    for key, row in rows:
        boards.setdefault(key, []).append(row)
    return tuple(
        Board(key, tuple(sorted(boards[key], key=lambda row: (-row.scores["frame_accuracy"].mean, row.model))))
        for key in sorted(boards, key=_order)
    )


def leaderboard_text(boards: Sequence[Board], *, width: int | None = None) -> str:
    """As plain text that ends with a newline, wrapped to `width` characters if given."""
    parts = [TITLE, wrapped_text(READING, width)]
    for board in boards:
        parts += [text_table(_table(board), width=width), *(wrapped_text(note, width) for note in _notes(board))]
    return "\n\n".join(parts) + "\n"


def leaderboard_markdown(boards: Sequence[Board]) -> str:
    """As a Markdown page."""
    return markdown_page(TITLE, _sections(boards))


def leaderboard_html(boards: Sequence[Board]) -> str:
    """As one accessible HTML page without scripts or network access."""
    return html_page(TITLE, _sections(boards))


def leaderboard_csv(boards: Sequence[Board]) -> str:
    """All rows in one table with the keys of their boards, metrics as fractions."""
    columns = ("protocol", "split", "users", "tasks_per_user", "frames", "metric", "model", "extractor")
    rows = []
    for board in boards:
        key = board.key
        for row in board.rows:
            shared = (key.protocol, key.split, key.users, key.tasks_per_user, key.frames, key.metric)
            scores = (row.scores.get(name) for name in METRICS)
            means = (f"{score.mean:.6g}" if score else "" for score in scores)
            sizes = (f"{size:.0f}" if size is not None else "" for size in (row.macs, row.parameters))
            rows.append((*shared, row.model, row.extractor, *means, *sizes, row.standing, row.source, row.note))
    rest = (*METRICS, "macs_to_personalize_thop", "parameters", "standing", "source", "note")
    return csv_text((*columns, *rest), rows)


def _sections(boards: Sequence[Board]) -> list[Section]:
    sections = [Section("reading", "How to read this", (Paragraph(READING),))]
    for number, board in enumerate(boards, start=1):
        notes = (Paragraph(note, kind="note") for note in _notes(board))
        sections.append(Section(f"board-{number}", board.key.caption, (_table(board), *notes)))
    return sections


def _published(row: PublishedRow) -> tuple[BoardKey, Row]:
    key = BoardKey(
        protocol=row.protocol,
        split=row.split,
        users=_orbit_users(row.split) if row.split else "",
        tasks_per_user=row.tasks_per_user,
        frames=_frames(row.every_query_frame == "yes") if row.every_query_frame else "",
        metric=row.metric,
    )
    printed = {
        "frame_accuracy": (row.accuracy, row.accuracy_ci),
        "frames_to_recognition": (row.frames_to_recognition, row.frames_to_recognition_ci),
        "video_accuracy": (row.video_accuracy, row.video_accuracy_ci),
    }
    scores = {
        name: Score(float(number) / 100, number, interval) for name, (number, interval) in printed.items() if number
    }
    standing = RECALLED if row.recalled == "yes" else PUBLISHED
    macs, parameters = (float(text) if text else None for text in (row.macs, row.parameters))
    spread = f"MACs vary by {_scaled(float(row.macs_std))} (std) over tasks." if row.macs_std else ""
    note = " ".join(filter(None, (row.note, spread)))
    return key, Row(row.model, row.extractor, scores, macs, parameters, standing, row.source, note)


def _scored(name: str, card: Scorecard) -> tuple[BoardKey, Row]:
    tasks = sorted({row.tasks for row in card.per_user})
    key = BoardKey(
        protocol=printable(card.protocol),
        split=printable(card.split),
        users=_users(card),
        tasks_per_user=str(tasks[0]) if len(tasks) == 1 else f"{tasks[0]} to {tasks[-1]}",
        frames="single images" if card.single_images else _frames(card.every_query_frame),
        metric="frame accuracy",
    )
    scores = {}
    for metric in card.metrics:
        if card.every_query_frame or not METRICS[metric].needs_every_frame:
            part = summary_of(card, metric).headline
            bootstrap = part.bootstrap_over_users
            scores[metric] = Score(
                part.mean,
                percent(part.mean, 2),
                percent(part.protocol_interval.half_width, 2),
                _range(bootstrap),
            )
    macs = card.cost.macs_to_personalize_thop.mean if card.cost and card.cost.macs_to_personalize_thop else None
    notes = [note for note in card.notes if note.startswith(UNCHECKED_START)]
    if card.cost and (extra := card.cost.filter_extra_frames):
        notes.append(f"Its filter read {extra.mean:,.0f} more frames per task than the task contains.")
    note = " ".join(notes)
    extractor = printable(card.provenance.get("backbone", ""))
    named = ", ".join(filter(None, (name, filter_text(card.provenance))))
    return key, Row(printable(named), extractor, scores, macs, None, SCORED, "", note)


def _users(card: Scorecard) -> str:
    """ORBIT's users, if a scorecard has exactly these and all of their objects; otherwise the data it is from."""
    users = {row.user for row in card.per_user}
    objects = card.counts.objects + sum(not entry.video for entry in card.left_out)
    if card.split in ORBIT_USERS and users == ORBIT_USERS[card.split] and objects == ORBIT_OBJECTS[card.split]:
        return _orbit_users(card.split)
    of = f"data {card.data_fingerprint[:12]}" if card.data_fingerprint else f"tasks {card.tasks_fingerprint[:12]}"
    return f"{counted(len(users), 'user')} of {printable(of)}"


def _orbit_users(split: str) -> str:
    return f"ORBIT's {len(ORBIT_USERS[split])} {split} users"


def _range(interval: BootstrapInterval) -> str:
    """The bootstrap's interval, or "" with too few users."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{percent(interval.low, 2)} to {percent(interval.high, 2)}"


def _frames(every: bool) -> str:
    return "every frame" if every else "a sample of each video's frames"


def _table(board: Board) -> Table:
    metrics = [name for name in METRICS if any(name in row.scores for row in board.rows)]
    own = any(score.bootstrap for row in board.rows for score in row.scores.values())
    macs = any(row.macs is not None for row in board.rows)
    parameters = any(row.parameters is not None for row in board.rows)
    heads = []
    for name in metrics:
        title = board.key.metric.capitalize() if name == "frame_accuracy" else METRICS[name].title
        heads += [f"{title}, % ({'higher' if METRICS[name].higher_is_better else 'lower'} is better)", "Protocol's ±"]
        heads += ["Bootstrap over users"] if own else []
    rows = []
    for row in board.rows:
        cells = [row.model, row.extractor]
        for name in metrics:
            score = row.scores.get(name)
            cells += [score.printed, score.protocol_interval] if score else ["", ""]
            cells += [score.bootstrap if score else ""] if own else []
        cells += [_scaled(row.macs)] if macs else []
        cells += [_scaled(row.parameters)] if parameters else []
        rows.append(tuple(cell or None for cell in (*cells, row.standing, row.source)))
    columns = ("Model", "Extractor", *heads, *(["MACs to personalize"] if macs else []))
    columns += (*(["Parameters"] if parameters else []), "Standing", "Source")
    return Table(f"{board.key.caption}, best first", columns, tuple(rows))


def _notes(board: Board) -> list[str]:
    noted: dict[str, list[str]] = {}
    for row in board.rows:
        if row.note:
            name = f"{row.model}, {row.extractor}" if row.extractor else row.model
            noted.setdefault(row.note, []).append(name)
    return [f"{'; '.join(names)}: {note}" for note, names in noted.items()]


def _scaled(number: float | None) -> str:
    """`4.78 T` for 4.78e12; "" for None."""
    if number is None:
        return ""
    for factor, letter in UNITS:
        if number >= factor:
            return f"{number / factor:.2f} {letter}"
    return f"{number:.0f}"


def _order(key: BoardKey) -> tuple[int, str, bool, bool, int, str]:
    """Sort key: ORBIT's own boards first, more tasks per user before fewer."""
    first = FIRST.index(key.protocol) if key.protocol in FIRST else len(FIRST)
    tasks = int(key.tasks_per_user) if key.tasks_per_user.isdecimal() else 0
    return first, key.protocol, key.split != "test", not key.users.startswith("ORBIT's"), -tasks, key.caption
