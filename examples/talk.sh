#!/usr/bin/env bash
# What the demos have in common: how they talk, and how they fail. To be sourced, with `set -Eeuo pipefail` in force.

# --- how it talks ---------------------------------------------------------------------------------------------------
bold= dim= plain=
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[36m' plain=$'\e[0m'; fi
exec 3>&1 # what commands look like goes here, also while their output is being captured
step_number=0
step_name=

step() {
    step_number=$((step_number + 1)) step_name=$1
    printf '\n%s%d. %s%s\n' "$bold" "$step_number" "$1" "$plain"
}

say() { printf '   %s\n' "$*"; }

quoted() {
    local word
    for word in "$@"; do
        case $word in
            '' | *[!A-Za-z0-9_./:=,@%+-]*) printf " '%s'" "${word//\'/\'\\\'\'}" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
}

# Shows a command as one would type it, and runs it.
run() {
    printf '   %s$%s%s\n' "$dim" "$(quoted "$@")" "$plain" >&3
    "$@"
}

failed() {
    local code=$1 file=$2 line=$3
    trap - ERR
    [ "$BASH_SUBSHELL" = 0 ] || exit "$code"
    printf '\ndemo: step %d (%s) failed with exit code %d in line %d of %s; the reason is above.\n' \
        "$step_number" "$step_name" "$code" "$line" "$file" >&2
    printf '      what runs: longshore status     what it says: longshore logs [server|agent-1|haproxy]\n' >&2
    exit "$code"
}
trap 'failed $? "${BASH_SOURCE[0]##*/}" $LINENO' ERR

fail() {
    printf '\ndemo: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '      %s\n' "$hint" >&2; done
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# until_true SECONDS WHAT COMMAND…: again and again until it succeeds.
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for $what" "longshore status; longshore logs server"
        sleep 0.2
    done
}
