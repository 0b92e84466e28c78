"""The archives that ORBIT's authors publish on figshare: which one holds which split, and each one's size and md5.

The data's license is stated on its page, https://doi.org/10.25383/city.14294597, and not repeated here.
"""

import re
from dataclasses import dataclass

from data_prep.archives.fetch import PATIENT, Patience, fetch_json
from data_prep.tree.layout import SPLITS
from groundwork.errors import DataError, UsageError

PAGE = "https://doi.org/10.25383/city.14294597"
FIGSHARE_API = "https://api.figshare.com/v2"
ARTICLE = 14294597
OTHER = "other"  # users of the unfiltered set that are in no split
PUBLISHED_SPLITS = (*SPLITS, OTHER)
_PAGE_SIZE = 100
_MOST_PAGES = 20
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class PublishedArchive:
    """One ZIP file of frames. `file_id` is figshare's number for it."""

    split: str
    size_px: int
    file_id: int

    @property
    def file_name(self) -> str:
        """The local file name. Figshare's own name is untrusted text, so it is not used as a path."""
        return f"{self.split}-{self.size_px}.zip"


@dataclass(frozen=True)
class ListedFile:
    """A file as figshare lists it."""

    file_id: int
    name: str
    size_bytes: int
    md5: str


# https://github.com/microsoft/ORBIT-Dataset, scripts/download_benchmark_dataset.sh and download_unfiltered_dataset.sh
PUBLISHED = (
    PublishedArchive("train", 224, 28368339),
    PublishedArchive("validation", 224, 28368351),
    PublishedArchive("test", 224, 28368072),
    PublishedArchive("train", 1080, 27189155),
    PublishedArchive("validation", 1080, 27188237),
    PublishedArchive("test", 1080, 27346766),
    PublishedArchive(OTHER, 1080, 27380768),
)


def published_archive(split: str, size_px: int) -> PublishedArchive:
    """Look an archive up.

    Raises:
        UsageError: if there is no such archive.
    """
    for archive in PUBLISHED:
        if (archive.split, archive.size_px) == (split, size_px):
            return archive
    known = ", ".join(f"{archive.split} {archive.size_px}" for archive in PUBLISHED)
    raise UsageError(f"split {split!r} at {size_px} px is not published; known: {known}.")


def download_url(api: str, archive: PublishedArchive) -> str:
    """The address from which a program can download the file. Figshare's ndownloader links answer with 202 or 403."""
    return f"{api}/file/download/{archive.file_id}"


def by_hand(archive: PublishedArchive) -> str:
    """How to download the file by hand, if it can't be fetched."""
    return (
        f"Download {archive.split}, {archive.size_px} px, with a browser from {PAGE},"
        f" then run: orbit-lite prep download OUT --split {archive.split} --size {archive.size_px} --from-zip FILE"
    )


def list_published(api: str = FIGSHARE_API, *, patience: Patience = PATIENT) -> dict[int, ListedFile]:
    """Ask figshare for the article's files: {file id: its entry}.

    Raises:
        Unreachable: if figshare can't be reached.
        DataError: if the answer is not a list of files.
    """
    listed: dict[int, ListedFile] = {}
    for page in range(1, _MOST_PAGES + 1):
        url = f"{api}/articles/{ARTICLE}/files?page_size={_PAGE_SIZE}&page={page}"
        content = fetch_json(url, patience=patience)
        try:
            entries = [_entry(entry) for entry in content]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{url}: not figshare's list of files ({error!r}).") from None
        new = {entry.file_id: entry for entry in entries if entry.file_id not in listed}
        listed |= new
        if len(entries) < _PAGE_SIZE or not new:
            break
    return listed


def _entry(entry: dict[str, object]) -> ListedFile:
    file_id, name, size = entry["id"], entry["name"], entry["size"]
    md5 = str(entry.get("computed_md5") or entry.get("supplied_md5") or "").lower()
    if not isinstance(file_id, int) or not isinstance(name, str) or not isinstance(size, int) or size < 0:
        raise ValueError(f"file {file_id!r}")
    return ListedFile(file_id, name, size, md5 if _MD5.fullmatch(md5) else "")
