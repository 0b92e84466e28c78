"""Numbers in records, with the ranges that they are checked for."""

from typing import Annotated

from pydantic import Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0)]
Unsaid = Field(
    exclude_if=lambda value: value is None
)  # of a field that a file has only where there is something to say
