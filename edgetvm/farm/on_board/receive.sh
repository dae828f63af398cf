#!/bin/sh
# Takes a file from standard input: receive.sh FILE SHA256 MODE
#
# It is written aside, compared and renamed: FILE is the old one or the whole new one, and nothing
# is left behind when the connection breaks, which ends standard input early.
set -eu
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
case $1 in
    */*) aside=${1%/*}/.${1##*/} ;;
    *) aside=.$1 ;;
esac
# Power that fails leaves a part behind: its writer is no more.
for old in "$aside".[0-9]*; do
    [ ! -f "$old" ] || [ -d "/proc/${old##*.}" ] || rm -f -- "$old"
done
aside=$aside.$$
trap 'rm -f -- "$aside"' EXIT
trap 'exit 129' HUP INT PIPE TERM
umask 077
cat >"$aside"
found=$(sha256sum <"$aside")
if [ "${found%% *}" != "$2" ]; then
    echo "received ${found%% *} instead of $2" >&2
    exit 3
fi
chmod "$3" -- "$aside"
mv -f -- "$aside" "$1"
