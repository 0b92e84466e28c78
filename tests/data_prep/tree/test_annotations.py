import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.tree.annotations import (
    FILTERS,
    ISSUES,
    NOT_PRESENT,
    all_of,
    any_of,
    parse_filter,
    select_frames,
)
from groundwork.errors import UsageError

STATES = (True, False, None, "absent")  # "absent": the entry does not have the key, as in clutter videos


def entry(**states):
    return {issue: state for issue, state in states.items() if state != "absent"}


def kept(frame, frame_filter):
    return select_frames({1: frame}, frame_filter) == [1]


@pytest.mark.parametrize("issue", ISSUES)
@pytest.mark.parametrize(
    ("state", "with_issue", "without"),
    [(True, True, False), (False, False, True), (None, False, False), ("absent", False, False)],
)
def test_an_issue_and_its_negation_by_state(issue, state, with_issue, without):
    frame = entry(**(dict.fromkeys(ISSUES, False) | {issue: state}))
    for combine in (all_of, any_of):
        assert kept(frame, combine(issue)) == with_issue
        assert kept(frame, combine(f"no_{issue}")) == without
        assert kept(frame, combine("no_issues")) == without
    if issue == NOT_PRESENT:
        assert kept(frame, all_of("object_present")) == without


def test_no_issues_is_none_of_the_seven():
    """The published filter kept a frame if any criterion held: six of seven issues passed as 'no issues'."""
    six = dict.fromkeys(ISSUES, True) | {"blur_issue": False}
    assert any(six[issue] is False for issue in ISSUES)  # the published condition
    for combine in (all_of, any_of):
        assert not kept(six, combine("no_issues"))
        assert kept(dict.fromkeys(ISSUES, False), combine("no_issues"))
    assert not kept({NOT_PRESENT: False, "object_bounding_box": None}, all_of("no_issues"))  # a clutter video's frame


frames = st.dictionaries(
    st.integers(1, 50),
    st.fixed_dictionaries({issue: st.sampled_from(STATES) for issue in ISSUES}).map(lambda s: entry(**s)),
)
names = st.lists(st.sampled_from(sorted(FILTERS)), min_size=1, max_size=5)


@given(frames, names, st.randoms())
def test_order_and_repetition_of_names_make_no_difference(annotations, chosen, random):
    other = [*chosen, random.choice(chosen)]
    random.shuffle(other)
    for combine in (all_of, any_of):
        assert select_frames(annotations, combine(*chosen)) == select_frames(annotations, combine(*other))


@given(frames, names)
def test_all_of_is_a_subset_of_each_and_each_of_any_of(annotations, chosen):
    all_, any_ = (set(select_frames(annotations, combine(*chosen))) for combine in (all_of, any_of))
    each = [set(select_frames(annotations, all_of(name))) for name in chosen]
    assert all_ == set.intersection(*each)
    assert any_ == set.union(*each)


def test_de_morgan_does_not_hold_with_null():
    """'Neither of two issues' and 'not (one of them)' differ in the frames that were not judged."""
    annotations = {1: {"blur_issue": None, "framing_issue": None}, 2: {"blur_issue": False, "framing_issue": None}}
    neither = select_frames(annotations, all_of("no_blur_issue", "no_framing_issue"))
    not_one_of = set(annotations) - set(select_frames(annotations, any_of("blur_issue", "framing_issue")))
    assert neither == [] and not_one_of == {1, 2}


@given(st.sampled_from(["all_of", "any_of"]), names)
def test_a_filter_survives_all_its_plain_forms(how, chosen):
    made = {"all_of": all_of, "any_of": any_of}[how](*chosen)
    assert parse_filter({how: chosen}) == parse_filter(str(made)) == parse_filter(json.loads(json.dumps({how: chosen})))
    assert parse_filter(str(made)) == made


def test_all_of_nothing_keeps_all_and_any_of_nothing_is_an_error():
    assert parse_filter("all_of()") == parse_filter({"all_of": []}) == all_of()
    assert select_frames({2: {}, 5: {}}, all_of()) == [2, 5]
    with pytest.raises(UsageError, match="keeps no frame"):
        parse_filter("any_of()")


@pytest.mark.parametrize(
    "form",
    [
        None,
        3,
        "no_blur_issue",
        ["no_blur_issue"],
        {},
        {"none_of": ["blur_issue"]},
        {"all_of": "blur_issue"},
        {"all_of": [3]},
        {"all_of": ["blur_issue"], "any_of": ["framing_issue"]},
        "all_of(blur_issue",
        {("all_of",): []},
    ],
)
def test_a_form_without_all_or_any_is_rejected(form):
    with pytest.raises(UsageError, match="expected all_of or any_of"):
        parse_filter(form)


@pytest.mark.parametrize("make", [all_of, any_of, lambda name: parse_filter({"any_of": [name]})])
def test_an_unknown_filter_lists_the_known_ones_nearest_first(make):
    with pytest.raises(UsageError, match="'no_blurr'; known, nearest first: no_blur_issue, ") as error:
        make("no_blurr")
    assert all(name in str(error.value) for name in FILTERS)
