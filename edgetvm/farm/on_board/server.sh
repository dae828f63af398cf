#!/bin/sh
# The server of a board, for root: server start|stop|restart|make-key|new-key|watch
#
# It lies in a release, beside the program and `settings`. Where systemd runs, the server is its
# service. Elsewhere `watch` starts it, and again when it ends, in a control group of its own where
# the kernel has them. `new-key` cuts off whoever has the old key, and prints the new one.
# Exit codes: 2 for a wrong word, 4 where the server does not come up.
set -eu
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
here=$(cd -P -- "${0%/*}" && pwd)
# shellcheck source=/dev/null
. "$here/settings"
: "${account:?}" "${service:?}" "${cgroup:?}" "${pid_file:?}" "${key_file:?}" "${log_file:?}"
: "${port:?}" "${arguments:?}" "${memory_percent:?}" "${most_tasks:?}" "${start_deadline_s:?}"
groups=/sys/fs/cgroup
longest_log=1048576
steady_s=10
longest_pause_s=30

has_systemd() { [ -d /run/systemd/system ]; }

seconds() {
    read -r up _ </proc/uptime
    echo "${up%%.*}"
}

nap() { sleep 0.1 2>/dev/null || sleep 1; }

# Folders of the group: one, or with the kernel's first version one for each controller.
group_folders() {
    if [ -e "$groups/cgroup.controllers" ]; then
        echo "$groups/$cgroup"
    else
        for controller in memory pids; do
            [ ! -d "$groups/$controller" ] || echo "$groups/$controller/$cgroup"
        done
    fi
}

limit() {
    [ ! -e "$1" ] || echo "$2" 2>/dev/null >"$1" || :
}

make_group() {
    total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
    for controller in memory pids; do
        limit "$groups/cgroup.subtree_control" "+$controller"
    done
    for folder in $(group_folders); do
        mkdir -p "$folder" 2>/dev/null || continue
        for name in memory.max memory.limit_in_bytes; do
            limit "$folder/$name" "$((total * memory_percent / 100))K"
        done
        limit "$folder/pids.max" "$most_tasks"
    done
}

enter_group() {
    for folder in $(group_folders); do
        limit "$folder/cgroup.procs" 0
    done
}

# Of the account, or in the group: the server, its sessions, and whatever they have left.
processes() {
    uid=$(id -u "$account")
    for status in /proc/[0-9]*/status; do
        while read -r name value _; do
            [ "$name" = Uid: ] || continue
            [ "$value" != "$uid" ] || echo "${status%/status}"
            break
        done 2>/dev/null <"$status" || :
    done | sed 's|^/proc/||'
    for folder in $(group_folders); do
        [ ! -e "$folder/cgroup.procs" ] || cat "$folder/cgroup.procs"
    done
}

kill_all() {
    for pid in $(processes); do
        kill "-$1" "$pid" 2>/dev/null || :
    done
}

watcher() {
    [ -r "$pid_file" ] || return 1
    read -r pid <"$pid_file" || return 1
    tr '\000' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'server watch *$' || return 1
    echo "$pid"
}

is_listening() {
    grep -q "^ *[0-9]*: 0100007F:$(printf '%04X' "$port") 00000000:0000 0A" /proc/net/tcp
}

await_server() {
    until_s=$(($(seconds) + start_deadline_s))
    while ! is_listening; do
        if [ "$(seconds)" -ge "$until_s" ]; then
            words=$(last_words)
            echo "the server does not come up; it says: ${words:-nothing}" >&2
            exit 4
        fi
        nap
    done
}

last_words() {
    if has_systemd; then
        journalctl -u "$service" -n 20 -o cat 2>/dev/null
    else
        cat "$log_file" 2>/dev/null
    fi | sed -n 's|.*edgetvm-board: ||p' | tail -n 1
}

write_log() {
    while IFS= read -r line; do
        printf '%s %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$line" >>"$log_file" || continue
        [ "$(wc -c <"$log_file")" -lt "$longest_log" ] || mv -f "$log_file" "$log_file.1"
    done
}

serve() {
    enter_group
    # shellcheck disable=SC2086 # they are words
    exec "$here/edgetvm-board" $arguments --as "$(id -u "$account"):$(id -g "$account")"
}

watch() {
    cd /
    umask 027
    echo $$ >"$pid_file"
    make_group
    pause_s=1
    while :; do
        began_s=$(seconds)
        (serve) 2>&1 </dev/null | write_log || :
        [ $(($(seconds) - began_s)) -lt "$steady_s" ] || pause_s=1
        sleep "$pause_s"
        pause_s=$((pause_s * 2 < longest_pause_s ? pause_s * 2 : longest_pause_s))
    done
}

start_watched() {
    ! watcher >/dev/null || return 0
    stop_watched
    if command -v setsid >/dev/null; then
        setsid "$here/server" watch </dev/null >/dev/null 2>&1 &
    else
        nohup "$here/server" watch </dev/null >/dev/null 2>&1 &
    fi
}

stop_watched() {
    # The watcher first: it would start another server. Its pause and its log end with its session.
    if watcher=$(watcher); then
        kill -9 "$watcher"
    fi
    rm -f "$pid_file"
    kill_all TERM
    until_s=$(($(seconds) + 5))
    while [ -n "$(processes)" ] && [ "$(seconds)" -lt "$until_s" ]; do
        nap
    done
    kill_all KILL
    while [ -n "$(processes)" ] && [ "$(seconds)" -lt $((until_s + 5)) ]; do
        nap
    done
    [ -z "$watcher" ] || kill -9 "-$watcher" 2>/dev/null || :
    for folder in $(group_folders); do
        [ ! -d "$folder" ] || rmdir "$folder" 2>/dev/null || :
    done
}

start() {
    if has_systemd; then
        systemctl start "$service"
    else
        start_watched
    fi
    await_server
}

stop() {
    if has_systemd; then
        systemctl stop "$service"
    else
        stop_watched
    fi
}

restart() {
    stop
    start
}

make_key() {
    umask 027
    key=$(od -A n -t x1 -N 16 /dev/urandom | tr -d ' \n')
    echo "$key" >"$key_file.new"
    chown "root:$account" "$key_file.new"
    mv -f "$key_file.new" "$key_file"
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    restart) restart ;;
    make-key) make_key ;;
    new-key)
        make_key
        restart
        echo "$key"
        ;;
    watch) watch ;;
    *)
        sed -n '2s/^# //p' "$0" >&2
        exit 2
        ;;
esac
