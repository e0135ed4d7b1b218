#!/bin/sh
# Unpacks Debian's kernel into .cache/kernel; nothing of it is installed on this machine.
# One kernel serves both the guests and the test host: the full one, because the small cloud kernel has
# neither e1000 nor 9p.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
kernel=$repo/.cache/kernel
new=$kernel.new.$$
# Debian's Python has lzma; another one, first in PATH, need not.
PATH=/usr/bin:$PATH:/usr/sbin:/sbin

[ ! -e "$kernel/release" ] || exit 0
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new"
cd "$new"

# The meta package names the newest image package; -o: apt may not drop to _apt in somebody's home.
image=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
if [ -z "$image" ]; then
    echo "kernel: apt knows no linux-image-amd64; as root: apt-get update" >&2
    exit 1
fi
echo "kernel: unpacking $image into .cache/kernel"
apt-get -q -q -o APT::Sandbox::User= download "$image"

# Of 400 MB this keeps what a network laboratory can use.
dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x --wildcards \
    --exclude='*/drivers/net/wireless/*' --exclude='*/drivers/net/ethernet/[!i]*' \
    './boot/vmlinuz-*' './lib/modules/*/modules.*' \
    './lib/modules/*/kernel/arch/*' './lib/modules/*/kernel/crypto/*' './lib/modules/*/kernel/fs/*' \
    './lib/modules/*/kernel/lib/*' './lib/modules/*/kernel/net/*' './lib/modules/*/kernel/virt/*' \
    './lib/modules/*/kernel/drivers/block/*' './lib/modules/*/kernel/drivers/char/*' \
    './lib/modules/*/kernel/drivers/crypto/ccp/*' './lib/modules/*/kernel/drivers/net/*' './lib/modules/*/kernel/drivers/vhost/*' \
    './lib/modules/*/kernel/drivers/virtio/*'
rm -f -- *.deb

release=$(ls lib/modules)
depmod -b . "$release"

# QEMU starts an unpacked kernel by its PVH note. Emulated, the kernel's own unpacker takes 5 s of each boot.
python3 - "boot/vmlinuz-$release" vmlinux <<'PYTHON'
import lzma
import sys
from pathlib import Path

packed = Path(sys.argv[1]).read_bytes()
start = packed.find(b"\xfd7zXZ\x00")
try:
    kernel = lzma.LZMADecompressor().decompress(packed[start:]) if start >= 0 else b""
except lzma.LZMAError:
    kernel = b""
Path(sys.argv[2]).write_bytes(kernel if kernel.startswith(b"\x7fELF") else packed)
PYTHON
rm -rf boot

echo "$release" >release
rm -rf "$kernel"
mv "$new" "$kernel"
