"""The system under test: describe it, build it, reach it, look at it, break it."""
