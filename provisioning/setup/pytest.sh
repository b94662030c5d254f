#!/bin/sh
# Installed as .venv/bin/pytest. pytest looks for its root, and for tests, at any existing path on its
# command line as long as it does not know our options; told of both beforehand, it runs this suite for
# `pytest --inventory /elsewhere/file` too.
here=$(dirname "$0")
root=$(cd "$here/../.." && pwd)
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$here/python" -m pytest -c "$root/pytest.ini" -p fixtures.options "$@"
