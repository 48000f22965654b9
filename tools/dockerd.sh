#!/usr/bin/env bash
# Sees to it that Docker Engine answers: left alone when it does, started in the background when it does not and we are root.
# For machines without systemd (containers, CI); where systemd runs, the package has started it already.
set -euo pipefail
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

log=/var/log/longshore-dockerd.log
wait_s=60

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
fail() { printf 'dockerd: %s\n' "$@" >&2; exit 1; }

answers && exit 0
[ "$(id -u)" = 0 ] || fail "Docker Engine does not answer and only root can start it" \
    "run 'sudo make setup', or start it yourself and add yourself to the group 'docker'"

# One starter at a time: two dockerd on one data root end each other.
exec 9>/run/longshore-dockerd.lock
flock -w "$wait_s" 9 || fail "another start of dockerd has been under way for $wait_s s"
answers && exit 0

start() {
    # The daemon outlives this script, so it inherits nothing of it: no terminal, no lock, no pipe of a calling make.
    (
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            [ "$fd" -le 2 ] || eval "exec $fd>&-"
        done
        cd /
        exec setsid dockerd </dev/null >>"$log" 2>&1
    ) &
    started=$!
}

started=
if [ "$(cat /proc/1/comm 2>/dev/null)" = systemd ]; then
    systemctl start docker || true
elif ! pidof dockerd >/dev/null; then
    # Left behind by a daemon that was killed; with no dockerd running the number in it means nothing.
    rm -f /var/run/docker.pid
    printf 'dockerd: starting Docker Engine (log: %s)\n' "$log"
    start
fi

deadline=$((SECONDS + wait_s))
until answers; do
    if [ -n "$started" ] && ! kill -0 "$started" 2>/dev/null; then
        tail -n 15 "$log" >&2
        fail "Docker Engine ended while starting; its last words are above (whole log: $log)"
    fi
    [ "$SECONDS" -lt "$deadline" ] || fail "Docker Engine did not answer within $wait_s s (log: $log)"
    sleep 0.2
done
