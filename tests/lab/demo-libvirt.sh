#!/bin/sh
# demo-libvirt.sh [inside]: vmnet and a real libvirtd, in namespaces of their own. Called by `./dev demo-libvirt`.
# shellcheck shell=dash
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$lab/../.." && pwd)
PATH=$repo/.venv/bin:$PATH:/usr/sbin:/sbin
guest=10.99.0.11

if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || {
        echo "demo-libvirt: a libvirtd of its own wants root" >&2
        exit 1
    }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    # A PID namespace: whatever runs in it ends with this.
    VMNET_DEMO_WORK=$work unshare --mount --net --pid --uts --fork --mount-proc --propagation private \
        sh "$0" inside
    exit
fi

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain" && "$@"; }
fail() {
    echo "demo-libvirt: $*" >&2
    tail -n 5 /var/log/libvirt/libvirtd.log >&2 || :
    exit 1
}
exec 2>&1

work=$VMNET_DEMO_WORK
mkdir "$work/etc" "$work/cache"
# What libvirt found out about this machine's QEMU, where a test has asked before: 4 s the first time.
[ ! -d "$repo/.cache/libvirt" ] || cp -r "$repo/.cache/libvirt/." "$work/cache/"
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
mount --bind /etc "$work/etc"
mount -t tmpfs -o mode=755 etc /etc
ln -s "$work"/etc/* /etc/
rm -rf /etc/libvirt /etc/vmnet /etc/hosts /etc/nsswitch.conf
mkdir -p /etc/libvirt/hooks/qemu.d /etc/vmnet
printf '127.0.0.1 localhost demo\n' >/etc/hosts
printf 'passwd: files\ngroup: files\nhosts: files\n' >/etc/nsswitch.conf
hostname demo
for folder in /run /var/lib/libvirt /var/log/libvirt; do mount -t tmpfs -o mode=755 tmpfs $folder; done
mkdir -p /var/cache/libvirt
mount --bind "$work/cache" /var/cache/libvirt
cp "$lab/qemu.conf" /etc/libvirt/qemu.conf
cat >/etc/libvirt/libvirtd.conf <<'X'
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
X
cat >/etc/vmnet/vmnet.toml <<'X'
default = "lan"
[network.lan]
bridge = "br0"
[network.dmz]
bridge = "br1"
X
# A domain as anybody defines it, without a NIC.
cat >"$work/vm1.xml" <<X
<domain type='qemu'><name>vm1</name><memory unit='MiB'>160</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$repo/.cache/guest/vmlinuz</kernel><initrd>$repo/.cache/guest/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=1 tsc_early_khz=2600000 mitigations=off nokaslr vmip0=$guest/24</cmdline></os>
  <features><acpi/></features><on_poweroff>destroy</on_poweroff>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/><memballoon model='none'/>
    <serial type='file'><source path='/run/console'/></serial></devices></domain>
X
ip link set lo up

# wait_for TEXT: until the guest has said it.
wait_for() {
    tenths=0
    until grep -qs "$1" /run/console; do
        tenths=$((tenths + 1))
        [ $tenths -lt 600 ] || fail "the guest did not say '$1': $(cat /run/console)"
        [ $((tenths % 10)) != 0 ] || printf '.'
        sleep 0.1
    done
    echo
}

say "a host with two networks, and vmnet's hook where libvirt looks for it"
show cat /etc/vmnet/vmnet.toml
show vmnet bridge create br0
show vmnet bridge create br1
ip address add 10.99.0.1/24 dev br0
show vmnet hook install
libvirtd -d -p /run/libvirtd.pid
show virsh -q version --daemon | tail -n 1
virsh -q define "$work/vm1.xml"

say "vm1 gets a NIC: the wish goes into its metadata, the interface into its definition"
show vmnet attach vm1 --network lan --vhost
virsh dumpxml vm1 | grep -E 'vmnet:|<target dev=.vmn'

say "it starts: libvirt calls the hook, and the TAP is there before QEMU is"
show virsh -q start vm1
wait_for 'vmnet-guest: ready'
show busybox ping -c 2 -W 5 $guest
show vmnet list
show vmnet explain vm1

say "a second NIC while it runs; libvirt calls no hook for that"
show vmnet attach vm1 --nic 1 --network dmz
wait_for 'vmnet-guest: nic=eth1'
show vmnet list

say "somebody makes the bridge anew: its ports are gone, sync brings them back"
show ip link delete br0
show vmnet bridge create br0
ip address add 10.99.0.1/24 dev br0
show vmnet sync
show busybox ping -c 2 -W 5 $guest

say "what this host does not allow is refused before anything starts"
mac=$(virsh -q domiflist vm1 | awk 'NR == 1 { print $5 }')
virsh -q metadata vm1 --uri urn:vmnet:nics:1 --key vmnet --config \
    --set "<nics><nic mac='$mac' network='secret'/></nics>" >/dev/null
virsh -q destroy vm1
if show virsh -q start vm1; then fail "it started with a network that is not configured"; fi

say "it is over: nothing is left"
show virsh -q undefine vm1
ip address del 10.99.0.1/24 dev br0
show vmnet bridge delete br0
show vmnet bridge delete br1
left=$(ip -o link show | grep -v ': lo:' || :)$(ls -A /run/vmnet 2>/dev/null || :)
[ -z "$left" ] || fail "left behind: $left"
echo "links left: none; files left in /run/vmnet: none"
kill "$(cat /run/libvirtd.pid)"
