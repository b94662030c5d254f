"""How many examples Hypothesis makes up for a test; they take whatever time a busy machine needs for them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(count: int = 100, *, sharing_fixtures: bool = False) -> settings:
    """Return the decorator for a test with ``given``: ``count`` examples, without a limit of time.

    Hypothesis's own limits (200 ms for an example, a second for making up a few) say how busy the machine is,
    and outside CI they fail a test that is right. ``sharing_fixtures``: examples may share what is made once a test.
    """
    shared = [HealthCheck.function_scoped_fixture] if sharing_fixtures else []
    return settings(
        max_examples=count, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, *shared]
    )
