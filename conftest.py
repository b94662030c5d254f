"""The suite's plugins; all of them live in fixtures/."""

pytest_plugins = [
    "fixtures.options",
    "fixtures.session",
    "fixtures.scheduling",
    "fixtures.cluster",
    "fixtures.looking",
    "fixtures.reporting",
    "fixtures.judging",
    "fixtures.faults",
]
