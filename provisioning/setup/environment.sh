#!/bin/sh
# Makes .venv from requirements.lock. Does nothing where it is already right; makes it anew where it
# is not: after an interrupted install, with a changed lock, another Python or a moved tree.
set -eu
cd "$(dirname "$0")/../.."

fail() { # summary, expected, observed, what to do
    printf '%s\n  expected: %s\n  observed: %s\n  what to do: %s\n' "$@" >&2
    exit 1
}

find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return
        fi
    done
    fail "no Python that is new enough" \
        "Python 3.11 or later as ${PYTHON:-python3, python3.14, python3.13, python3.12 or python3.11} on PATH" \
        "$("${PYTHON:-python3}" --version 2>&1 || echo none)" \
        "install Python 3.11 or later (Debian 12, Ubuntu 24.04 and later have it), or name it: make setup PYTHON=/path/to/python"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

need_venv() {
    "$python" -c 'import venv, ensurepip' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    advice="install the package that brings it (Debian and Ubuntu: apt-get install $package), then run this again"
    if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
        fail "Python cannot make environments here" "the modules venv and ensurepip of $python" "one of them is missing" "$advice"
    fi
    echo "python   installing $package"
    as_root apt-get -o DPkg::Lock::Timeout=300 -qq update >"$log" 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y install --no-install-recommends "$package" >>"$log" 2>&1 ||
        fail "the package $package cannot be installed" "apt-get install $package succeeds" "$(grep '^E:' "$log" | tail -n 1)" "$advice"
}

find_python
if command -v flock >/dev/null; then # two set-ups in one tree: the second waits
    exec 9<requirements.lock
    flock 9
fi
stamp=$("$python" -c 'import hashlib, os, sys
print(sys.version.split()[0], os.getcwd(), hashlib.sha256(open("requirements.lock", "rb").read()).hexdigest())')
version=${stamp%% *}
install_launcher() {
    cmp -s provisioning/setup/pytest.sh .venv/bin/pytest || install -m 755 provisioning/setup/pytest.sh .venv/bin/pytest
}
if [ "$(cat .venv/.complete 2>/dev/null)" = "$stamp" ] && .venv/bin/python -c '' 2>/dev/null; then
    install_launcher
    echo "python   $version in .venv"
    exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
need_venv
echo "python   $version: installing $(grep -c '==' requirements.lock) packages into .venv"
"$python" -m venv --clear .venv >"$log" 2>&1 ||
    fail "the environment cannot be made" "$python -m venv .venv succeeds" "$(tail -n 1 "$log")" "see that the tree is writable and the disk is not full"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --retries 2 \
    --require-hashes -r requirements.lock >"$log" 2>&1 ||
    fail "the Python packages cannot be installed" \
        "pip installs requirements.lock, every file with the hash written there" \
        "$(grep -E '^ERROR|error:|NewConnectionError' "$log" | head -n 1 | cut -c 1-300)" \
        "see that the package index can be reached (proxy: HTTPS_PROXY; a mirror: PIP_INDEX_URL), then run this again"
install_launcher
printf '%s\n' "$stamp" >.venv/.complete
