"""Numeric types for records, with their valid ranges."""

from typing import Annotated

from pydantic import Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Unsaid = Field(exclude_if=lambda value: value is None)  # for a field that files only have if it is known
