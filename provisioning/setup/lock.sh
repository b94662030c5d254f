#!/bin/sh
# Computes requirements.lock, and ansible.lock for what only `make ansible` installs, from pyproject.toml
# with pip-tools, in an environment of its own.
# Where packages come from is the machine's business: neither index nor local path is written down.
set -eu
cd "$(dirname "$0")/../.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
trap 'exit 130' INT TERM
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check pip-tools
compile() {
    CUSTOM_COMPILE_COMMAND='make lock' "$tools/bin/pip-compile" --quiet --generate-hashes --strip-extras \
        --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@" pyproject.toml
}
compile --extra dev --output-file requirements.lock
compile --extra ansible --constraint requirements.lock --output-file ansible.lock
