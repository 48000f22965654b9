#!/usr/bin/env bash
# All tests, in two runs side by side: those with real programs mostly wait for them, the others mostly compute. Arguments are pytest's.
#   BIN   where pytest is, .venv/bin unless given
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bin=${BIN:-.venv/bin}
real=(tests/integration tests/chaos)
said=$(mktemp)
trap 'kill "$beside" 2>/dev/null; wait "$beside" 2>/dev/null; rm -f "$said"' EXIT
trap 'exit 130' INT TERM

"$bin/pytest" -q "${real[@]}" "$@" >"$said" 2>&1 &
beside=$!
"$bin/pytest" -q tests "${real[@]/#/--ignore=}" "$@"
first=$?
wait "$beside"
second=$?
printf '\nWith real programs (%s):\n' "${real[*]}"
cat "$said"

# 5: nothing was asked for in one of them, as with -k
for code in "$first" "$second"; do
    [ "$code" = 0 ] || [ "$code" = 5 ] || exit "$code"
done
[ "$first" = 0 ] || exit "$second"
