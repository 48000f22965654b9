#!/usr/bin/env bash
# Makes a bare Debian or Ubuntu machine ready: engines (Docker Engine, HAProxy, …), the project's .venv and a running dockerd.
# Safe to run as often as you like: what is there already is left alone, and with nothing to do it takes well under a second.
#
#   tools/setup.sh [--no-engines] [GROUP]      GROUP: dev (the default: runtime + tests + aws) or bench (dev + the peers)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive

engines=yes
group=dev
for argument in "$@"; do
    case "$argument" in
        --no-engines) engines=no ;;
        dev | bench) group=$argument ;;
        *) echo "setup: unknown argument '$argument' (known: --no-engines dev bench)" >&2; exit 2 ;;
    esac
done

say() { printf 'setup: %s\n' "$*"; }
fail() {
    printf 'setup: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages ------------------------------------------------------------------------------------------------
missing=()

want() { # PACKAGE: remembers it for the one apt-get call below
    missing+=("$1")
}

python_is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$candidate" ] && have "$candidate" && python_is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
}

# Test images are built FROM scratch around busybox, so it has to run without any library beside it.
static_busybox() { [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1; }

collect_missing() {
    missing=()
    python=$(find_python)
    [ -n "$python" ] || want python3
    if [ ! -x .venv/bin/python ] && { [ -z "$python" ] || ! "$python" -c 'import ensurepip' 2>/dev/null; }; then
        want python3-venv
    fi
    [ "$engines" = yes ] || return 0
    have dockerd || want docker.io
    have haproxy || want haproxy
    have iptables || want iptables
    have ip || want iproute2
    have openssl || want openssl
    have curl || want curl
    have skopeo || want skopeo
    have podman || want podman
    have buildah || want buildah
    have docker-credential-ecr-login || want amazon-ecr-credential-helper
    have zstd || want zstd
    have docker-registry || want docker-registry
    static_busybox || want busybox-static
    [ -d /etc/ssl/certs ] || want ca-certificates
}

apt_install() {
    # A machine that has never been updated knows no package lists; one that has seldom needs newer ones.
    local log
    log=$(mktemp)
    if ! apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 </dev/null; then
        apt-get update -q >"$log" 2>&1 </dev/null || { tail -n 15 "$log" >&2; fail "apt-get update failed" "check the machine's package sources and run 'make setup' again"; }
        apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 </dev/null || { tail -n 15 "$log" >&2; fail "apt-get could not install: $*"; }
    fi
    rm -f "$log"
}

collect_missing
if [ ${#missing[@]} -gt 0 ]; then
    if ! have apt-get || [ "$(id -u)" != 0 ]; then
        fail "missing on this machine: ${missing[*]} (names of Debian packages)" \
            "on Debian or Ubuntu run 'sudo make setup', or: sudo apt-get install --no-install-recommends ${missing[*]}" \
            "elsewhere install Python 3.11 or newer, Docker Engine and HAProxy 2.6 or newer with the system's own tools"
    fi
    say "installing ${missing[*]}"
    apt_install "${missing[@]}"
    hash -r
    collect_missing
    if [ -z "$python" ]; then
        fail "Longshore needs Python 3.11 or newer; this system's packages give $(python3 --version 2>&1 || echo none)" \
            "install a newer Python and run: PYTHON=/path/to/python3 make setup"
    fi
    [ ${#missing[@]} -eq 0 ] || fail "still missing after the installation: ${missing[*]}"
fi
# Newer releases ship the docker command apart from the daemon.
if [ "$engines" = yes ] && ! have docker; then
    say "installing docker-cli"
    apt_install docker-cli
fi

# --- the project's own Python ---------------------------------------------------------------------------------------
lock=requirements/$group.lock
# What was installed where: a changed lock installs again, a moved checkout or another interpreter begins anew.
origin="$root $("$python" -c 'import sys; print(sys.version_info[:2], sys.base_prefix)')"
wanted=$(cat "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)

if [ -e .venv ] && [ "$(cat .venv/.longshore-origin 2>/dev/null)" != "$origin" ]; then
    if [ -e .venv/.longshore-origin ] || [ ! -x .venv/bin/python ]; then
        say "the .venv belongs to another place or interpreter: building it again"
        rm -rf .venv
    fi
fi
if [ ! -x .venv/bin/python ]; then
    say "creating .venv"
    "$python" -m venv .venv
fi
printf '%s\n' "$origin" >.venv/.longshore-origin

if [ "$(cat ".venv/.longshore-$group" 2>/dev/null)" != "$wanted" ]; then
    say "installing Python packages from $lock"
    pip=(.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check)
    "${pip[@]}" --require-hashes -r "$lock" </dev/null ||
        fail "pip could not install $lock" "is the package index reachable from this machine? run 'make setup' again once it is"
    "${pip[@]}" --no-deps --no-build-isolation --editable . </dev/null || fail "pip could not install the project itself"
    printf '%s\n' "$wanted" >".venv/.longshore-$group"
fi

# --- Docker Engine --------------------------------------------------------------------------------------------------
[ "$engines" = no ] || tools/dockerd.sh
say "ready: .venv/bin/longshore"
