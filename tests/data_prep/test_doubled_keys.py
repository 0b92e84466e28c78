"""All JSON readers of `data_prep` reject a duplicate key; none uses the last value."""

import pytest

from data_prep.making.collectors import read_new_users
from data_prep.making.run import drop_from_manifest
from data_prep.tree.layout import MANIFEST_NAME
from groundwork.errors import KitError

READERS = {
    "users.json": ('{"P1": {"P2": ["cup"]}, "P1": {"P3": ["mug"]}}', "P1", lambda path: read_new_users(path)),
    MANIFEST_NAME: (
        '{"schema": 1, "videos": {"ann/cup/clean/a": {}, "ann/cup/clean/a": {}}}',
        "ann/cup/clean/a",
        lambda path: drop_from_manifest(path, "ann"),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_duplicate_key_is_rejected(tmp_path, name):
    text, key, read = READERS[name]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(KitError, match=f"{name}: .*key '{key}' appears twice"):
        read(path)
    assert path.read_text() == text
