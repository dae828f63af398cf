#!/bin/sh
# Tells what a board is: its files as they are, and what a few commands say. It changes nothing.
#
# Each answer is a line `== NAME` and the text below it. NAME is a file or a word. What is
# not there is left out. A board has a POSIX shell and the commands of busybox, not more.
set -u
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

# Files of one line, without a process for each: there may be hundreds.
lines() {
    for file in "$@"; do
        [ -r "$file" ] || continue
        text=
        { read -r text <"$file"; } 2>/dev/null || :
        [ -z "$text" ] || printf '== %s\n%s\n' "$file" "$text"
    done
}

files() {
    for file in "$@"; do
        [ -r "$file" ] || continue
        printf '== %s\n' "$file"
        tr -d '\000' <"$file" 2>/dev/null
        printf '\n'
    done
}

says() {
    name=$1
    shift
    text=$("$@" 2>/dev/null </dev/null) || :
    [ -z "$text" ] || printf '== %s\n%s\n' "$name" "$text"
}

libc() {
    getconf GNU_LIBC_VERSION || for file in /lib/ld-musl-*.so.1 /lib/ld-uClibc*.so.*; do
        [ ! -e "$file" ] || printf '%s\n' "$file"
    done
}

echo '== edgetvm-facts'
echo 1
says machine uname -m
says kernel uname -r
# The header of a program of this system: a 64-bit kernel may have a 32-bit system.
says program od -A n -t x1 -N 20 /proc/self/exe
says libc libc
says user id -un
says uid id -u
says time date +%s
says home df -P -k "${HOME:-/}"
says tmp df -P -k /tmp
says throttled vcgencmd get_throttled
[ ! -d /run/systemd/system ] || printf '== systemd\nyes\n'
files /proc/cpuinfo /proc/meminfo /proc/mounts /etc/os-release /proc/device-tree/model
lines /proc/sys/kernel/random/boot_id /proc/loadavg /proc/uptime
cpus=/sys/devices/system/cpu
lines "$cpus"/cpu[0-9]*/cpufreq/scaling_governor "$cpus"/cpu[0-9]*/cpufreq/cpuinfo_max_freq
for word in level type size shared_cpu_list; do
    lines "$cpus"/cpu[0-9]*/cache/index[0-9]*/"$word"
done
lines /sys/class/thermal/thermal_zone*/type /sys/class/thermal/thermal_zone*/temp
echo '== end'
echo 1
