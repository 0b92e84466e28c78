"""A CSV list of pictures, their classes and their splits."""

import csv
from collections.abc import Iterator
from pathlib import Path

from data_prep.making.layouts.entries import Entry, NamedFiles, class_name, pictures_of, split_name
from data_prep.making.layouts.layout import LayoutRequest
from data_prep.making.picture_folders import PictureFolders
from groundwork.csv_cells import CsvRows, open_csv
from groundwork.errors import DataError, UsageError
from groundwork.words import quoted

_NEEDED, _SPLIT = ("path", "class"), "split"
_EXPECTED = "a first line path,class or path,class,split, then one picture per line"


def read_csv_list(request: LayoutRequest) -> PictureFolders:
    """Pictures from `--list-file`, which has the columns path (below SRC), class and, if there are splits, split.

    Raises:
        UsageError: if the list can't be read.
        DataError: if it is not such a list, or names files that are not below SRC.
    """
    if (path := request.list_file) is None:
        raise ValueError("a list is needed")
    try:
        with open_csv(path, strict=True) as rows:
            entries = list(_entries(request.source, path, rows))
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); expected {_EXPECTED}.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not CSV in UTF-8 ({error}); expected {_EXPECTED}.") from None
    return pictures_of(request.source, request.user, entries)


def _entries(source: Path, path: Path, rows: CsvRows) -> Iterator[Entry]:
    heading = next(rows, [])
    if any(heading.count(name) != 1 for name in _NEEDED) or heading.count(_SPLIT) > 1:
        raise DataError(f"{path}: line 1 is {quoted(','.join(heading))}; expected {_EXPECTED}.")
    place, label = (heading.index(name) for name in _NEEDED)
    split = heading.index(_SPLIT) if _SPLIT in heading else None
    files = NamedFiles(source, path)
    for cells in rows:
        where = f"{path}: line {rows.line_num}"
        if not cells:
            continue
        if len(cells) != len(heading):
            raise DataError(f"{where}: {len(cells)} cells, line 1 has {len(heading)}. Put cells with commas in quotes.")
        found = "" if split is None else split_name(where, cells[split])
        yield Entry(found, class_name(where, cells[label]), cells[place], files.find(cells[place]))
    files.require_all()
