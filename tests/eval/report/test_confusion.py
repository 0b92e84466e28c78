from eval.formats.scorecard import Confusion
from eval.report.confusion import confusion_finding, confusion_table, largest_confusion


def confusion(*rows, objects=("bag", "mug", "pen")):
    return Confusion(user="P1", tasks=2, objects=objects, frames=rows)


def test_the_table_by_hand_leaves_out_objects_without_frames():
    table = confusion_table(confusion((3, 1, 0), (0, 0, 0), (1, 0, 2)))
    assert table.headings == ("Object shown", "Frames", "bag", "mug", "pen")
    assert table.cells == (("bag", "4", "75.0", "25.0", "0.0"), ("pen", "3", "33.3", "0.0", "66.7"))
    assert "over 2 tasks" in table.caption


def test_the_finding_is_the_largest_share_and_not_the_largest_count():
    found = confusion((70, 30, 0), (0, 9, 0), (1, 0, 1))
    assert confusion_finding(found) == "Most frequent confusion: pen, mistaken for bag in 50.0 % of its frames."
    assert confusion_finding(confusion((1, 0, 0), (0, 1, 0), (0, 0, 0))) == "No object was mistaken for another."


def test_of_several_sets_of_objects_the_one_with_most_frames_is_shown(card, tmp_path, page_of):
    own = card.confusion[0]
    small = Confusion(user=own.user, tasks=1, objects=("bag", "mug"), frames=((1, 0), (0, 1)))
    assert largest_confusion(card, own.user) == (own, 0)
    both = card.model_copy(update={"confusion": (small, *card.confusion)})
    assert largest_confusion(both, own.user) == (own, 1)
    assert "tasks with 1 other set of objects" in page_of(both, tmp_path).whole_text
