from eval.published import ORBIT_OBJECTS, ORBIT_USERS, published_rows


def test_rows_are_numbers_where_numbers_belong():
    for row in published_rows():
        assert 0 < float(row.accuracy) < 100
        for text in (row.accuracy_ci, row.frames_to_recognition, row.video_accuracy, row.macs, row.parameters):
            assert text == "" or float(text) > 0
        assert row.recalled in ("yes", "no")
        assert row.every_query_frame in ("yes", "no", "")
        assert row.protocol and row.model and row.source


def test_no_row_is_there_twice():
    keys = [(row.protocol, row.split, row.tasks_per_user, row.model, row.extractor) for row in published_rows()]
    assert len(set(keys)) == len(keys)


def test_orbits_users():
    # Massiceti et al. 2021, table A.2
    assert {split: len(users) for split, users in ORBIT_USERS.items()} == {"validation": 6, "test": 17}
    assert ORBIT_OBJECTS == {"validation": 50, "test": 158}
    assert not ORBIT_USERS["validation"] & ORBIT_USERS["test"]
