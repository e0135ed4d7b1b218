#!/bin/sh
# demo.sh [inside]: the whole story of a VM's NIC, in a network namespace of its own. Called by `./dev demo`.
# VMNET_DEMO_ACCEL=kvm and VMNET_DEMO_QUEUES=2 make it the story of vhost-net (demo-vhost.sh).
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$lab/../.." && pwd)
accel=${VMNET_DEMO_ACCEL:-tcg}
queues=${VMNET_DEMO_QUEUES:-1}
guest=10.99.0.11
PATH=$repo/.venv/bin:$PATH:/usr/sbin:/sbin

if [ "${1:-}" != inside ]; then
    if [ "$(id -u)" = 0 ]; then
        exec unshare --net --mount sh "$0" inside
    fi
    # What this user lacks is said before anything is tried.
    if ! unshare --user --map-root-user --net --mount true 2>/dev/null; then
        echo "demo: this host does not let an ordinary user have a network namespace" >&2
        echo "  try: run ./dev demo as root, or sysctl -w user.max_user_namespaces=10000" \
            "(Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)" >&2
        exit 1
    fi
    if ! (: <>/dev/net/tun) 2>/dev/null; then
        echo "demo: user $(id -un) may not open /dev/net/tun ($(ls -l /dev/net/tun 2>&1))" >&2
        echo "  try: run ./dev demo as root, or chmod 0666 /dev/net/tun, as udev does" >&2
        exit 1
    fi
    exec unshare --user --map-root-user --net --mount sh "$0" inside
fi

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain" && "$@"; }

exec 2>&1
mount -t tmpfs tmpfs /run
work=$(mktemp -d)
vm=
finish() {
    [ -z "$vm" ] || kill -9 "$vm" 2>/dev/null || :
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM
: >"$work/vmnet.toml"
# In a user namespace /etc belongs to nobody; the demo brings a configuration of its own.
vmnet() { command vmnet --config "$work/vmnet.toml" "$@"; }

say "a bridge, in a network namespace that only this demo is in"
show vmnet bridge create br0
ip address add 10.99.0.1/24 dev br0
ip link set lo up

say "vm1 wants a NIC: the TAP is made and plugged in, the data path decided before QEMU starts"
# Without a machine id (a bare container) there is nothing to make a stable MAC from.
mac=''
[ -s /etc/machine-id ] || mac='--mac 52:54:00:99:00:11'
# shellcheck disable=SC2086 # two words or none
show vmnet attach vm1 --vhost --queues "$queues" $mac

say "a guest starts on it"
set -- qemu-system-x86_64 -accel "$accel" -cpu qemu64 -M pc -m 192 -smp "$queues" \
    -nodefaults -display none -no-reboot -serial "file:$work/console" \
    -kernel "$repo/.cache/guest/vmlinuz" -initrd "$repo/.cache/guest/initrd.gz" \
    -append "console=ttyS0 quiet panic=1 tsc_early_khz=2600000 mitigations=off nokaslr vmip0=$guest/24"
printf '%s$ vmnet run vm1 -- qemu-system-x86_64 -accel %s ...%s\n' "$bold" "$accel" "$plain"
command vmnet --config "$work/vmnet.toml" run vm1 -- "$@" </dev/null &
vm=$!
i=0
until grep -qs 'vmnet-guest: ready' "$work/console"; do
    i=$((i + 1))
    if [ $i -gt 600 ] || ! kill -0 "$vm" 2>/dev/null; then
        echo "demo: the guest did not come up; its console:" >&2
        cat "$work/console" >&2 || :
        exit 1
    fi
    [ $((i % 10)) != 0 ] || printf '.'
    sleep 0.1
done
echo
sed -n 's/^vmnet-guest: nic/the guest says: nic/p' "$work/console" | tr -d '\r'

say "it answers through the bridge"
show busybox ping -c 3 -W 5 "$guest"

say "who uses what, read from the kernel"
show vmnet list
show vmnet who vmnet-vm1-0

say "while it runs, nothing takes its NIC away"
if show vmnet detach vm1; then
    echo "demo: detach took the NIC of a running VM" >&2
    exit 1
fi

say "the guest ends, the NIC is detached, nothing is left"
kill "$vm"
wait "$vm" || :
vm=
show vmnet detach vm1
ip address del 10.99.0.1/24 dev br0
show vmnet bridge delete br0
left=$(ip -o link show | grep -v ': lo:' || :)
left=$left$(ls -A /run/vmnet 2>/dev/null || :)
[ -z "$left" ] || {
    echo "demo: left behind: $left" >&2
    exit 1
}
echo "links left: none; files left in /run/vmnet: none"

say "the machinery of this host, proved without a guest"
show vmnet probe
