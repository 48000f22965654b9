#!/usr/bin/env bash
# Writes requirements/*.lock anew from pyproject.toml: every package pinned with its hashes, for every Python and system
# we support, and no word about where it was fetched from. For maintainers; needs uv (`pip install uv`).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

uv=(uv)
command -v uv >/dev/null 2>&1 || uv=(.venv/bin/python -m uv)

compile() { # NAME, then further arguments of uv pip compile
    local name=$1
    shift
    env -u PIP_FIND_LINKS -u UV_FIND_LINKS "${uv[@]}" pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        --output-file "requirements/$name.lock" pyproject.toml "$@"
}

mkdir -p requirements
compile runtime
compile dev --group dev --constraint requirements/runtime.lock
compile bench --group dev --group bench --constraint requirements/dev.lock

# Not beside the others: what it needs has no say in what they get.
env -u PIP_FIND_LINKS -u UV_FIND_LINKS "${uv[@]}" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements/audit.lock --group pyproject.toml:audit
