#!/bin/sh
# Starts an emulated board, in the lab's namespaces: its network link, its root, its first process.
#
#   board.sh                 makes the board's own namespaces and goes on there
#   board.sh inside          mounts the root and becomes its init
#
# In the environment: its name, addresses and control groups, the folders of its userlands, of its
# own things and of files that lie over the kernel's, sizes in bytes, and what its root may not do.
set -eu
: "${name:?}" "${port:?}" "${address:?}" "${hardware_address:?}" "${gateway:?}" "${groups=}"
: "${bases:?}" "${folder:?}" "${of_machine:?}" "${disk:?}" "${tmp:?}" "${tmp_options=}"
: "${read_only:?}" "${forbidden:?}"

if [ $# = 0 ]; then
    for group in $groups; do
        echo 0 >"$group/cgroup.procs"
    done
    if ! mountpoint -q "$folder/disk"; then
        mount -t tmpfs -o "mode=755,size=$disk" disk "$folder/disk"
        mkdir "$folder/disk/upper" "$folder/disk/work"
    fi
    # The last start's link may not be gone yet.
    ip link delete "$port" 2>/dev/null || :
    exec 3</proc/self/ns/net
    exec unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child -- sh "$0" inside
fi

read -r pid _ </proc/self/stat
# To the kernel this is process 1 already.
nsenter --net=/proc/self/fd/3 ip link add "$port" type veth peer name eth0 netns 1
nsenter --net=/proc/self/fd/3 ip link set "$port" master boards up
exec 3<&-
ip link set lo up
ip address add "$address/24" dev eth0
# The same after each start, as others remember it.
ip link set eth0 address "$hardware_address" up
ip route add default via "$gateway"
hostname "$name"

root=$folder/root
mount -t overlay -o "lowerdir=$bases,upperdir=$folder/disk/upper,workdir=$folder/disk/work" \
    board "$root"
if [ -d "$folder/seed" ]; then
    cp -a "$folder/seed/." "$root"
    rm -r "$folder/seed"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o "mode=755,size=1m" dev "$root/dev"
mount -t tmpfs -o "mode=755,size=16m" run "$root/run"
mount -t tmpfs -o "mode=1777,size=$tmp$tmp_options" tmp "$root/tmp"

mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs -o "mode=1777,size=16m" shm "$root/dev/shm"
while read -r node major minor; do
    mknod -m 666 "$root/dev/$node" c "$major" "$minor"
done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

# The root of each hierarchy is the board's own control group.
mount -t tmpfs -o mode=755,size=64k cgroup "$root/sys/fs/cgroup"
for group in $groups; do
    case $group in
        /sys/fs/cgroup/memory/* | /sys/fs/cgroup/pids/* | /sys/fs/cgroup/cpu/*)
            kind=${group#/sys/fs/cgroup/}
            kind=${kind%%/*}
            mkdir "$root/sys/fs/cgroup/$kind"
            # Not where it is mounted together with another kind.
            mount -t cgroup -o "$kind" cgroup "$root/sys/fs/cgroup/$kind" ||
                rmdir "$root/sys/fs/cgroup/$kind"
            ;;
        *) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" ;;
    esac
done

# Another one after each start, as a kernel has it.
cat /proc/sys/kernel/random/uuid >"$root/run/.boot_id"
mount --bind "$root/run/.boot_id" "$root/proc/sys/kernel/random/boot_id"
for file in proc/cpuinfo proc/meminfo sys/devices/system/cpu; do
    mount --bind "$of_machine/$file" "$root/$file"
done
# The root of those who log in, where it is another one: it shows the same kernel.
if [ -d "$root/musl" ]; then
    mount --bind "$root/musl" "$root/musl"
    chroot "$root/musl" /bin/busybox --install -s /bin
    mount --rbind "$root/proc" "$root/musl/proc"
    mount --rbind "$root/sys" "$root/musl/sys"
    mount --rbind "$root/dev" "$root/musl/dev"
    mount --bind "$root/tmp" "$root/musl/tmp"
    mount --bind "$root/run" "$root/musl/run"
fi

[ "$read_only" = no ] || mount -o remount,ro "$root"

cd "$root"
pivot_root . mnt
echo "$pid"
exec >/dev/null 2>&1
exec setpriv --bounding-set="$forbidden" \
    chroot . /bin/sh -c 'umount -l /mnt && exec env -i PATH=/usr/sbin:/usr/bin /usr/sbin/init'
