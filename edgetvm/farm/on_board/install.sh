#!/bin/sh
# Takes a release as a tar file from standard input: install.sh RELEASES NAME SUMS
#
# It is unpacked aside, compared with the file SUMS of its own, and renamed: RELEASES/NAME is there as
# a whole or not at all. Where the connection breaks, nothing is left behind.
set -eu
LC_ALL=C
PATH=${PATH:-/bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export LC_ALL PATH
umask 022
aside=$1/.$2.$$
trap 'rm -rf -- "$aside"' EXIT
trap 'exit 129' HUP INT PIPE TERM
mkdir -p -- "$aside"
tar -x -m -o -f - -C "$aside"
(cd -- "$aside" && sha256sum -c "$3" >/dev/null)
# A name must not outlive a loss of power that its content did not.
sync -- "$aside"/* 2>/dev/null || :
rm -rf -- "${1:?}/$2"
mv -- "$aside" "$1/$2"
