from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from planner.spec import Spec


class Example(Spec):
    number: float = 1.0


def test_a_spec_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Example().number = 2.0


def test_a_spec_refuses_unknown_keys():
    with pytest.raises(ValidationError, match="numbr"):
        Example.model_validate({"numbr": 2.0})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_spec_refuses_numbers_that_are_not_finite(number):
    with pytest.raises(ValidationError, match="finite"):
        Example(number=number)
