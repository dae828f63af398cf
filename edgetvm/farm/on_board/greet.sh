#!/bin/sh
# Greets the host: greet.sh PROGRAM KEY_FILE [PID BEGAN BOOT_ID]
#
# Tells the version of the board's program, the key of its server, and which process serves this
# connection. With three words more it first ends the process that served the connection before: one
# that broke without a word would keep the server's client alive for as long as the board believes in
# it. Exit codes: 3 without a program, 4 without a key, 5 where the program does not run.
set -u
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH

# When a process began, in ticks of this start of the system: a PID alone may be another's by now.
began() {
    text=
    { read -r text <"/proc/$1/stat"; } 2>/dev/null || :
    printf '%s' "${text##*) }" | cut -d ' ' -f 20
}

boot=
{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || :
if [ $# -eq 5 ] && [ "$5" = "$boot" ] && [ "$(began "$3")" = "$4" ]; then
    kill "$3" 2>/dev/null || :
fi
[ -x "$1" ] || exit 3
version=$("$1" version) || exit 5
key=$(cat "$2" 2>/dev/null) || key=$(sudo -n cat "$2" 2>/dev/null) || exit 4
printf '%s\n' "$version" "$key" "$PPID $(began "$PPID") $boot"
