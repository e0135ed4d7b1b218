#!/bin/sh
# initrd.sh OUT INIT MODULE...: packs busybox, INIT and the modules, with all that they need, into OUT.
# Does nothing while OUT is newer than what it is made of.
# shellcheck shell=dash
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
kernel=$(cd "$lab/../.." && pwd)/.cache/kernel
out=$1
init=$2
shift 2
PATH=$PATH:/sbin:/usr/sbin

fresh() {
    [ -e "$out" ] && [ "$out" -nt "$init" ] && [ "$out" -nt "$kernel/release" ] &&
        [ "$out" -nt "$lab/initrd.sh" ]
}
! fresh || exit 0

mkdir -p "$(dirname "$out")"
root=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$root" "$root.gz"' EXIT
trap 'exit 130' INT TERM
mkdir "$root/bin" "$root/dev" "$root/modules" "$root/proc" "$root/sys"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$init" "$root/init"
chmod 755 "$root/init"

# modprobe knows the order: each line is "insmod FILE", or "builtin NAME" for what needs no loading.
release=$(cat "$kernel/release")
for module in "$@"; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module"
done | sed -n 's/^insmod \(.*[^ ]\) *$/\1/p' | awk '!seen[$0]++' >"$root/files"
while read -r file; do
    name=$(basename "$file" .xz)
    case $file in
    *.xz) xz -dc "$file" >"$root/modules/$name" ;;
    *) cp "$file" "$root/modules/$name" ;;
    esac
    echo "$name" >>"$root/modules/order"
done <"$root/files"
rm "$root/files"

(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$root.gz"
mv "$root.gz" "$out"
