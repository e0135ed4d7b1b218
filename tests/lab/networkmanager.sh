#!/bin/sh
# Unpacks Debian's NetworkManager into .cache/networkmanager; nothing of it is installed on this machine,
# where it would be started, and look after links that are none of the tests'.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
place=$repo/.cache/networkmanager
new=$place.new.$$

[ ! -e "$place/NetworkManager" ] || exit 0
if ! apt-cache show network-manager >/dev/null 2>&1; then
    [ "$(id -u)" != 0 ] || apt-get -q -q update
fi
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new/lib"
cd "$new"

echo "networkmanager: unpacking network-manager into .cache/networkmanager"
# The one library that nothing else here brings; -o: apt may not drop to _apt in somebody's home.
apt-get -q -q -o APT::Sandbox::User= download network-manager libndp0
for package in *.deb; do dpkg -x "$package" tree; done
mv tree/usr/sbin/NetworkManager .
find tree -name 'libndp.so.0*' -exec mv {} lib \;
rm -rf -- tree *.deb

rm -rf "$place"
mv "$new" "$place"
