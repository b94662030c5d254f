"""Blindfold: a pytest plugin under which the rule of each plant finds nothing, so that its test must fail."""

from __future__ import annotations

import functools
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from fixtures.rules.registry import RULES, Find
from tests.planted.results import plant_of


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    plant = plant_of(item)
    if plant is None:
        return (yield)
    sighted = RULES[plant.rule]
    RULES[plant.rule] = replace(sighted, find=_nothing(sighted.find))
    try:
        return (yield)
    finally:
        RULES[plant.rule] = sighted


def _nothing(find: Find) -> Find:
    return functools.wraps(find)(lambda evidence: [])
