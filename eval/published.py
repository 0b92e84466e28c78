"""Published results with their sources, from eval/published_rows.csv; percentages as printed. None were re-run."""

from dataclasses import dataclass, fields
from importlib import resources

from groundwork.csv_cells import CsvRows

# data/orbit_benchmark_mode_splits.json of microsoft/ORBIT-Dataset; objects: Massiceti et al. 2021, table A.2
ORBIT_USERS = {
    "validation": frozenset({"P189", "P194", "P235", "P579", "P778", "P867"}),
    "test": frozenset(
        {
            *("P177", "P198", "P204", "P233", "P271", "P421", "P452", "P455", "P485"),
            *("P554", "P609", "P642", "P753", "P900", "P901", "P953", "P999"),
        }
    ),
}
ORBIT_OBJECTS = {"validation": 50, "test": 158}


@dataclass(frozen=True)
class PublishedRow:
    """One published result. Numbers are text as printed, percentages in percent; "" if nothing was published.

    `recalled` is "yes" if the number was written from memory and not checked. `every_query_frame` is "yes", "no", or ""
    if unknown.
    """

    protocol: str
    split: str
    tasks_per_user: str
    every_query_frame: str
    metric: str
    model: str
    extractor: str
    accuracy: str
    accuracy_ci: str
    frames_to_recognition: str
    frames_to_recognition_ci: str
    video_accuracy: str
    video_accuracy_ci: str
    macs: str
    macs_std: str
    parameters: str
    recalled: str
    source: str
    note: str


def published_rows() -> tuple[PublishedRow, ...]:
    """All published results, in the file's order."""
    text = resources.files("eval").joinpath("published_rows.csv").read_text(encoding="utf-8")
    header, *rows = CsvRows(text.splitlines())
    if header != [field.name for field in fields(PublishedRow)]:
        raise ValueError(f"published_rows.csv: columns {header}")  # our own mistake, not a user's
    return tuple(PublishedRow(*row) for row in rows)
