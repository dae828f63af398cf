#!/bin/sh
# Sets the clock governor of all cores for as long as somebody measures.
#
#   governor.sh set GOVERNOR SECONDS [NOTE [CPUS]]   prints what was set before, and waits
#   governor.sh restore [NOTE]                       puts back what one that was killed has left
#
# `set` puts everything back when its standard input ends: the host is done, or the connection broke.
# It also does when no line came for SECONDS: the connection is dead, and nothing has told the board.
# NOTE holds what was before; it lies where a restart of the board, which forgets governors, clears it.
# Exit codes: 3 where the kernel has no governors, 4 where it has not this one, 5 without the right.
set -u
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

put_back() {
    [ -f "$note" ] || return 0
    while read -r file governor; do
        printf '%s\n' "$governor" >"$file"
    done <"$note"
    rm -f -- "$note"
}

# A line of the host's, or nothing where none comes.
beat() {
    if timeout 5 true 2>/dev/null; then
        timeout "$seconds" head -n 1
    else
        head -n 1
    fi
}

take_note() {
    for file in "$cpus"/cpu[0-9]*/cpufreq/scaling_governor; do
        [ -r "$file" ] || continue
        read -r governor <"$file"
        printf '%s %s\n' "$file" "$governor"
    done >"$note.new" || exit 5
    [ -s "$note.new" ] || { rm -f -- "$note.new"; exit 3; }
    mv -f -- "$note.new" "$note"
}

set_all() {
    while read -r file _; do
        offered=${file%/*}/scaling_available_governors
        [ ! -r "$offered" ] || grep -qw -- "$wanted" "$offered" || exit 4
        printf '%s\n' "$wanted" >"$file" || exit 5
    done <"$note"
}

case ${1-} in
    restore)
        note=${2-/run/edgetvm-governor}
        put_back
        ;;
    set)
        wanted=$2
        seconds=$3
        note=${4-/run/edgetvm-governor}
        cpus=${5-/sys/devices/system/cpu}
        put_back
        take_note
        trap put_back EXIT
        trap 'exit 129' HUP INT PIPE TERM
        before=$(cut -d ' ' -f 2 <"$note" | sort -u | tr '\n' ' ')
        set_all
        printf 'before %s\n' "$before"
        while [ -n "$(beat)" ]; do :; done
        ;;
    *)
        echo 'governor.sh set GOVERNOR SECONDS [NOTE [CPUS]] | restore [NOTE]' >&2
        exit 2
        ;;
esac
