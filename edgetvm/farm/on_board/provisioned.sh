#!/bin/sh
# Tells what `edgetvm provision` has made of a board so far. It changes nothing, and tells no secret.
#
# It goes on where facts.sh ends, with its functions, and with the names of layout_on_board.py set.
# It is root, or tells why not.

: "${account:?}" "${folder:?}" "${state:?}" "${service:?}" "${cgroup:?}"

head_of() {
    [ ! -e "$1" ] || printf '%s %s\n' "$(ls -ldn -- "$1")" "$1"
}

echo '== edgetvm-provisioned'
echo 1
if [ "$(id -u)" = 0 ]; then
    says rights echo root
else
    says rights sh -c 'sudo -n true 2>&1 || :'
fi
[ -z "${SUDO_USER:-}" ] || says sudo-user echo "$SUDO_USER"
says account grep "^$account:" /etc/passwd
says group grep "^$account:" /etc/group
echo '== tools'
for tool in useradd adduser rc-update tar sha256sum od; do
    ! command -v "$tool" >/dev/null 2>&1 || echo "$tool"
done
[ ! -x /etc/init.d/rc ] || echo rc
[ ! -x /etc/init.d/rcS ] || echo rcS
case $(readlink -f /sbin/init 2>/dev/null) in
    */busybox) [ ! -e /etc/inittab ] || echo inittab ;;
esac
echo '== heads'
for path in "$folder" "$folder/releases" "$state" "$state/sessions" "$state/key"; do
    head_of "$path"
done
says current readlink "$folder/current"
says version "$folder/current/edgetvm-board" version
says releases ls -t "$folder/releases"
says files find "$folder" ! -path "$folder"
says state sh -c "cd '$state' && find . ! -name . -prune"
says sums sh -c "cd '$folder/releases' && sha256sum ./*/*"
says key grep -c -x '[0-9a-f]\{32\}' "$state/key"
# The brackets keep this search from finding itself.
says serving sh -c "grep -l '[/]${folder#/}/releases/' /proc/[0-9]*/cmdline | while read -r file; do
    tr '\\000' ' ' <\"\$file\"; echo; done | sort -u"
says boot sha256sum "/etc/systemd/system/$service.service" "/etc/local.d/$service.start" \
    "/etc/init.d/$service" "/etc/init.d/S99$service"
for link in "/etc/systemd/system/multi-user.target.wants/$service.service" \
    /etc/runlevels/default/local /etc/rc2.d/S*"$service"; do
    [ ! -e "$link" ] || says boot-link echo "$link"
done
says boot-link grep "$folder/" /etc/inittab
says cgroups sh -c "ls -d '/sys/fs/cgroup/$cgroup' '/sys/fs/cgroup/memory/$cgroup' \
    '/sys/fs/cgroup/pids/$cgroup'"
echo '== provisioned-end'
echo 1
