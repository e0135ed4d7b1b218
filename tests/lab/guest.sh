#!/bin/sh
# Makes the test guest: .cache/guest/vmlinuz and .cache/guest/initrd.gz. What it does: README.md beside this.
# shellcheck shell=dash
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
cache=$(cd "$lab/../.." && pwd)/.cache

"$lab/kernel.sh"
"$lab/initrd.sh" "$cache/guest/initrd.gz" "$lab/init" virtio_pci virtio_net e1000
if [ ! "$cache/guest/vmlinuz" -ef "$cache/kernel/vmlinux" ]; then
    ln -f "$cache/kernel/vmlinux" "$cache/guest/vmlinuz"
fi
