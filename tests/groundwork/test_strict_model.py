"""Strict records and their error messages: where, what, and which key was probably meant."""

import dataclasses
from typing import Annotated

import pytest
from pydantic import Field, ValidationError, field_validator

from groundwork.strict_model import Strict, checked_record, fault_lines, first_fault, validator_error


class Inner(Strict):
    rate: Annotated[float, Field(gt=0)] = 1.0
    name: str = ""

    @field_validator("name")
    @classmethod
    def _known(cls, name):
        if name == "odd":
            raise validator_error("there is no such name")
        return name


class Outer(Strict):
    number: int
    inner: Inner | None = None
    schema_number: int = Field(1, alias="schema")


def error_of(content):
    with pytest.raises(ValidationError) as raised:
        Outer.model_validate(content)
    return raised.value


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({}, "key 'number' is missing"),
        (
            {"number": "many"},
            "number: Input should be a valid integer, unable to parse string as an integer, got 'many'",
        ),
        (
            {"number": 1, "numbr": 1},
            "unknown key 'numbr' (did you mean 'number'?); known keys: number, inner, schema",
        ),
        (
            {"number": 1, "inner": {"rat": 1}},
            "unknown key 'inner.rat' (did you mean 'rate'?); known keys: rate, name",
        ),
        ({"number": 1, "inner": {"rate": float("inf")}}, "inner.rate: Input should be a finite number, got inf"),
        ({"number": 1, "inner": {"name": "odd"}}, "inner.name: there is no such name"),
    ],
)
def test_an_error_names_its_location_and_what_was_expected(content, line):
    assert fault_lines(error_of(content), Outer) == [line]
    assert first_fault(error_of(content), Outer) == line


def test_known_keys_are_listed_only_with_a_model():
    assert fault_lines(error_of({"number": 1, "numbr": 1})) == ["unknown key 'numbr'"]


def test_all_errors_are_listed_or_the_first_with_the_number_of_others():
    error = error_of({"number": "x", "inner": {"rate": 0}, "other": 1})
    lines = fault_lines(error, Outer)
    assert len(lines) == 3 and first_fault(error, Outer) == f"{lines[0]} (and 2 more)"


def test_an_error_is_one_short_line_whatever_was_read():
    for content in ({"number": "x\n" * 5000}, {"number": 1, "k" * 5000: 1}):
        (line,) = fault_lines(error_of(content), Outer)
        assert len(line) < 300 and "\n" not in line


def test_a_strict_record_is_frozen():
    with pytest.raises(ValidationError):
        Outer(number=1).number = 2


@dataclasses.dataclass(frozen=True)
class Record:
    frames: int
    mark: str = ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": None}, "frames: Input should be a valid integer, got None"),
        ({"frames": "3"}, "frames: Input should be a valid integer, got '3'"),
        ({"frames": 3.5}, "frames: Input should be a valid integer"),
        ({"frames": 1, "marks": ""}, "unknown key 'marks' (did you mean 'mark'?)"),
        ({}, "key 'frames' is missing"),
        ([1], "Input should be"),
        (None, "Input should be"),
    ],
)
def test_a_record_rejects_values_of_another_type(given, message):
    assert checked_record(Record, {"frames": 3, "mark": "x"}) == Record(3, "x")
    with pytest.raises(ValueError) as error:
        checked_record(Record, given)
    assert str(error.value).startswith(message)
