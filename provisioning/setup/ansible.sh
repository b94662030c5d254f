#!/bin/sh
# Installs what real hosts are provisioned and entered with: Ansible into .venv from ansible.lock, and,
# where it can, an SSH client. Does nothing where that is done already.
set -eu
cd "$(dirname "$0")/../.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
if ! command -v ssh >/dev/null && command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    echo "ssh      installing openssh-client"
    as_root apt-get -o DPkg::Lock::Timeout=300 -qq update >"$log" 2>&1 || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y install \
        --no-install-recommends openssh-client >"$log" 2>&1 || true
fi
command -v ssh >/dev/null || echo "ssh      no client here: tests that enter hosts over SSH are skipped"
stamp=$(cat .venv/.complete && cksum <ansible.lock)
if [ "$(cat .venv/.ansible 2>/dev/null)" = "$stamp" ]; then
    echo "ansible  in .venv"
    exit 0
fi
echo "ansible  installing $(grep -c '==' ansible.lock) packages into .venv"
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --retries 2 \
    --require-hashes -r ansible.lock >"$log" 2>&1; then
    printf '%s\n' "Ansible cannot be installed" \
        "  expected: pip installs ansible.lock, every file with the hash written there" \
        "  observed: $(grep -E '^ERROR|error:|NewConnectionError' "$log" | head -n 1 | cut -c 1-300)" \
        "  what to do: see that the package index can be reached (proxy: HTTPS_PROXY; a mirror: PIP_INDEX_URL), then run this again" >&2
    exit 1
fi
printf '%s\n' "$stamp" >.venv/.ansible
