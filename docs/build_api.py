"""The API pages: one for each module below, from its docstrings. Run by `make docs`; needs the extra `docs`."""

import inspect
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints
from unittest.mock import patch

import pdoc
import pdoc.doc
import pdoc.render
from numpy.typing import ArrayLike

# What users of the kit call. The rest is internal and may change without notice.
MODULES = (
    "orbit_lite",
    "orbit_lite.models.recognizer",
    "orbit_lite.data.pixels",
    "orbit_lite.training.experiment",
    "orbit_lite.training.loop",
    "orbit_lite.evaluation.evaluate",
    "orbit_lite.evaluation.predict",
    "data_prep.video",
    "data_prep.making.extract",
    "data_prep.pocket.pocket_set",
    "data_prep.tree.index",
    "eval.compare",
    "eval.formats.records",
    "eval.intervals",
    "eval.leaderboard",
    "eval.metrics",
    "eval.report",
    "eval.score",
    "groundwork.errors",
    "groundwork.files",
    "groundwork.pages.table",
    "groundwork.randomness",
)

_NDARRAY = re.compile(r"numpy\.ndarray\[tuple\[typing\.Any, \.\.\.\], numpy\.dtype\[([\w.]+)\]\]")
_NO_DEFAULT = re.compile(r'\s*=\s*<span class="default_value">PydanticUndefined</span>')


def build(out: Path, modules: Sequence[str] = MODULES) -> None:
    """Write index.html and one page per module.

    Raises:
        UserWarning: if pdoc warns, for example of a name or an annotation that does not resolve.
    """
    pdoc.render.configure(docformat="google", search=False, show_source=False)
    with (
        patch("inspect.formatannotation", _readable),
        patch("pdoc.doc.formatannotation", _readable),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error", UserWarning)  # pdoc's own; other packages deprecate things
        # pydantic's own annotations name a module that only type checkers have
        warnings.filterwarnings("ignore", ".* PydanticDataclass ")
        for name in modules:
            _load_names(name)
        pages = {name: pdoc.doc.Module.from_name(name) for name in modules}
        for name, page in pages.items():
            _write(out / f"{name.replace('.', '/')}.html", pdoc.render.html_module(page, pages))
        _write(out / "index.html", pdoc.render.html_index(pages))


def _load_names(name: str) -> None:
    """Names that a package loads on first use are put into it, where pdoc looks for them."""
    module = import_module(name)
    for public in getattr(module, "__all__", ()):
        setattr(module, public, getattr(module, public))


def _readable(annotation: Any, *given: Any, _format: Callable[..., str] = inspect.formatannotation) -> str:
    """An annotation as the code has it: without what pydantic checks, and with NumPy's short names."""
    if annotation == ArrayLike:
        return "ArrayLike"
    holder = type("Holder", (), {"__annotations__": {"held": annotation}})
    with suppress(NameError):  # a name in quotes, which pdoc has looked up as far as it can
        annotation = get_type_hints(holder)["held"]
    if annotation is type(None):
        return "None"
    return _NDARRAY.sub(r"NDArray[\1]", _format(annotation, *given))


def _write(path: Path, page: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_NO_DEFAULT.sub("", page), encoding="utf-8")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
