from data_prep.making.run import remove_folder


def test_a_folder_is_removed_with_its_old_part(tmp_path):
    for name in ("video", ".video.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frame.jpg").write_text("x")
    remove_folder(tmp_path / "video")
    remove_folder(tmp_path / "video")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_a_folder_is_removed_itself(tmp_path):
    (tmp_path / "away").mkdir()
    (tmp_path / "away/mine.txt").write_text("x")
    (tmp_path / "video").symlink_to(tmp_path / "away")
    remove_folder(tmp_path / "video")
    assert [path.name for path in tmp_path.iterdir()] == ["away"] and (tmp_path / "away/mine.txt").is_file()
