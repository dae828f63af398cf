#!/bin/sh
# The first process of the namespaces that all emulated boards of one command live in.
#
# It ends when its standard input closes, and the kernel then ends every process of every board
# and takes down their links and mounts: nothing is left even where the owner was killed.
set -eu
# /proc is still the host's, so this is the number that the host knows this process by.
read -r pid _ </proc/self/stat
ip link set lo up
ip link add name boards type bridge
ip link set boards up
echo "$pid"
while read -r _; do :; done
