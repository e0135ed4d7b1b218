#!/bin/sh
# testhost.sh COMMAND [ARG...]: runs COMMAND at the repository's root, inside the test host: Debian's kernel,
# emulated, on this machine's own file tree. Its output comes out here, and its exit status is this one's; 70 if the
# emulated machine ended before the command did.
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$lab/../.." && pwd)
cache=$repo/.cache
limit=${VMNET_TESTHOST_TIMEOUT:-480}

[ $# -gt 0 ] || { echo "usage: testhost.sh COMMAND [ARG...]" >&2; exit 2; }

"$lab/kernel.sh"
"$lab/initrd.sh" "$cache/testhost/initrd.gz" "$lab/testhost-init" \
    virtio_pci virtio_console 9pnet_virtio 9p overlay virtio_blk ext4 kvm_amd vhost_net tun bridge 8021q veth

python=$repo/.venv/bin/python
stdlib='' site=''
if [ -x "$python" ]; then
    "$python" -m compileall -q "$repo/vmnet" || :
    "$lab/python-image.sh" "$cache/testhost/python.img"
    stdlib=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
fi

# quote STRING: as one word for a shell.
quote() {
    printf "'%s' " "$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")"
}

# escape PATH: for a value of QEMU's options.
escape() {
    printf '%s' "$1" | sed 's/,/,,/g'
}

run=$(mktemp -d "$cache/testhost/run.XXXXXX")
qemu=
# shellcheck disable=SC2317 # the traps reach it
finish() {
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || :
    # Several test hosts may run at a time; the logs that stay are those of the last to end.
    mv "$run/console.log" "$run/qemu.log" "$cache/testhost" 2>/dev/null || :
    rm -rf "$run"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

echo "repo=$(quote "$repo") stdlib=$(quote "$stdlib") site=$(quote "$site")" >"$run/where"
{
    echo "cd $(quote "$repo") || exit"
    env | sed -n 's/^\(\(VMNET_[A-Z_]*\|CI\)\)=.*/\1/p' | while read -r name; do
        eval "echo \"export $name=\$(quote \"\$$name\")\""
    done
    printf 'exec '
    for word in "$@"; do quote "$word"; done
    echo
} >"$run/command"

# QEMU holds the output port closed while its own input is at its end: this pipe never is.
mkfifo "$run/silence"

start=$(date +%s)
timeout -k 5 "$limit" qemu-system-x86_64 \
    -accel tcg,thread=multi -cpu EPYC -M q35 -smp 2 -m 3G -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$cache/kernel/vmlinux" -initrd "$cache/testhost/initrd.gz" \
    -append "tsc_early_khz=2600000 console=ttyS0 quiet panic=-1 mitigations=off audit=0 nokaslr random.trust_cpu=on cryptomgr.notests" \
    ${stdlib:+-drive "if=virtio,format=raw,readonly=on,file=$(escape "$cache/testhost/python.img")"} \
    -serial "file:$(escape "$run/console.log")" \
    -chardev stdio,id=output,signal=off -device virtio-serial-pci -device virtserialport,chardev=output \
    -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=root,mount_tag=root \
    -fsdev "local,id=lab,path=$(escape "$run"),security_model=none" \
    -device virtio-9p-pci,fsdev=lab,mount_tag=lab \
    <>"$run/silence" 2>"$run/qemu.log" &
qemu=$!
status=0
wait $qemu || status=$?
qemu=

if [ -s "$run/status" ]; then
    exit "$(cat "$run/status")"
fi
if [ $(($(date +%s) - start)) -ge "$limit" ]; then
    echo "testhost: no end within $limit s (VMNET_TESTHOST_TIMEOUT)" >&2
else
    echo "testhost: QEMU ended ($status) before the command did; .cache/testhost/{console,qemu}.log end:" >&2
    tail -n 20 "$run/console.log" "$run/qemu.log" >&2 || :
    exit 70
fi
exit 1
