import pytest

from eval.published import ORBIT_OBJECTS, ORBIT_USERS, published_rows

B0, V2, IN21K, CLIP = "EfficientNet-B0", "EfficientNet-V2-S", "ViT-B/32 (IN-21k)", "ViT-B/32 CLIP (LAION-2B)"
README_2023 = {  # microsoft/ORBIT-Dataset, orbit-2022, test users: frame accuracy in %, and its 95 % interval
    "ProtoNets + LITE": {B0: "67.91 0.56", V2: "72.76 0.53", IN21K: "73.53 0.51", CLIP: "73.95 0.52"},
    "ProtoNets cosine + LITE": {B0: "67.48 0.57", V2: "73.10 0.54", IN21K: "75.38 0.51", CLIP: "73.54 0.52"},
    "CNAPs + LITE": {B0: "67.68 0.58", CLIP: "72.33 0.54"},
    "Simple CNAPs + LITE": {B0: "66.83 0.60", CLIP: "68.86 0.56"},
    "FineTuner": {B0: "64.57 0.56", CLIP: "71.31 0.55"},
    "FineTuner + FiLM": {B0: "66.63 0.58", CLIP: "71.86 0.55"},
}
OTHERS = [  # protocol, split, tasks per user, model, frame accuracy, interval
    ("orbit-2022", "validation", "10", "ProtoNets + LITE", "85.67", "1.50"),  # the same README
    ("orbit-2021-clu-ve", "test", "5", "ProtoNets + LITE", "66.3", ""),  # arXiv 2107.01105
    ("orbit-2021-clu-ve", "test", "5", "CNAPs + LITE", "63.92", "1.86"),  # an independent run with logs
    ("orbit-2021-cle-ve", "test", "5", "Simple CNAPs + LITE", "82.70", ""),  # arXiv 2107.01105
    ("challenge-2022", "test", "1", "FEAT on ProtoNets + LITE (winner)", "71.69", ""),  # arXiv 2210.00174
    ("not stated", "test", "1", "ORBITRON (subspace head)", "74.02", ""),
    ("vtab", "", "", "Simple CNAPs + LITE", "51.4", ""),  # arXiv 2107.01105
    # ResNet-18 at 84 px, from memory: arXiv 2104.03841
    *(
        ("orbit-2021-cle-ve", "test", "5", model, accuracy, "")
        for model, accuracy in (("ProtoNets", "65.16"), ("CNAPs", "66.15"), ("MAML", "70.58"), ("FineTuner", "69.47"))
    ),
    *(
        ("orbit-2021-clu-ve", "test", "5", model, accuracy, "")
        for model, accuracy in (("ProtoNets", "50.34"), ("CNAPs", "51.47"), ("MAML", "51.67"), ("FineTuner", "53.73"))
    ),
]


def test_every_row_is_as_it_was_published():
    """The numbers were copied twice from their sources, so that a typo in one of the lists is found."""
    leaderboard = {
        (row.model, row.extractor): f"{row.accuracy} {row.accuracy_ci}"
        for row in published_rows()
        if (row.protocol, row.split) == ("orbit-2022", "test")
    }
    assert leaderboard == {(model, name): text for model, row in README_2023.items() for name, text in row.items()}
    others = [row for row in published_rows() if (row.protocol, row.split) != ("orbit-2022", "test")]
    assert sorted(OTHERS) == sorted(
        (row.protocol, row.split, row.tasks_per_user, row.model, row.accuracy, row.accuracy_ci) for row in others
    )


@pytest.mark.parametrize(
    ("model", "protocol", "expected"),
    [
        ("ProtoNets + LITE", "orbit-2022", ("", "", "", "", "4.78e12", "1.27e12", "")),
        ("CNAPs + LITE", "orbit-2021-clu-ve", ("15.37", "1.65", "70.33", "2.31", "1.88e12", "", "10.59e6")),
    ],
)
def test_other_facts_of_a_row(model, protocol, expected):
    [row] = [row for row in published_rows() if (row.model, row.protocol) == (model, protocol) and row.macs]
    found = (row.frames_to_recognition, row.frames_to_recognition_ci, row.video_accuracy, row.video_accuracy_ci)
    assert (*found, row.macs, row.macs_std, row.parameters) == expected


def test_rows_are_numbers_where_numbers_belong():
    for row in published_rows():
        assert 0 < float(row.accuracy) < 100
        for text in (row.accuracy_ci, row.frames_to_recognition, row.video_accuracy, row.macs, row.parameters):
            assert text == "" or float(text) > 0
        assert row.recalled in ("yes", "no")
        assert row.every_query_frame in ("yes", "no", "")
        assert row.protocol and row.model and row.source


def test_no_row_is_duplicated():
    keys = [(row.protocol, row.split, row.tasks_per_user, row.model, row.extractor) for row in published_rows()]
    assert len(set(keys)) == len(keys)


def test_orbits_users():
    # Massiceti et al. 2021, table A.2
    assert {split: len(users) for split, users in ORBIT_USERS.items()} == {"validation": 6, "test": 17}
    assert ORBIT_OBJECTS == {"validation": 50, "test": 158}
    assert not ORBIT_USERS["validation"] & ORBIT_USERS["test"]
