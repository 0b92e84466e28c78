from pathlib import Path

import pytest

from groundwork.cache import cache_base


@pytest.mark.parametrize("base", ["", "cache", "./cache"])
def test_a_relative_base_is_ignored(monkeypatch, tmp_path, base):
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_base() == tmp_path / ".cache" / "orbit-lite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache_base() == tmp_path / "elsewhere" / "orbit-lite"
