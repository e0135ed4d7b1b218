#!/bin/sh
# Unpacks LXC into .cache/lxc, for tests that want a real container. Installed it would bring a bridge and services.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
place=$repo/.cache/lxc
new=$place.new.$$

[ ! -e "$place/bin/lxc-start" ] || exit 0
if ! apt-cache show lxc >/dev/null 2>&1; then
    [ "$(id -u)" != 0 ] || apt-get -q -q update
fi
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new/bin" "$new/lib"
cd "$new"

echo "lxc: unpacking lxc into .cache/lxc"
# -o: apt may not drop to _apt in somebody's home.
apt-get -q -q -o APT::Sandbox::User= download lxc liblxc1
for package in *.deb; do dpkg -x "$package" tree; done
for name in start stop info; do mv "tree/usr/bin/lxc-$name" bin; done
find tree -name "liblxc.so.[0-9]" -exec cp -L {} lib \;
rm -rf -- *.deb tree

rm -rf "$place"
mv "$new" "$place"
