#!/bin/sh
# Unpacks Debian's Open vSwitch into .cache/ovs; nothing of it is installed on this machine, where it would be
# started and make bridges of its own. Tests run it in namespaces of their own.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
place=$repo/.cache/ovs
new=$place.new.$$

[ ! -e "$place/bin/ovs-vswitchd" ] || exit 0
if ! apt-cache show openvswitch-switch >/dev/null 2>&1; then
    [ "$(id -u)" != 0 ] || apt-get -q -q update
fi
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new/bin" "$new/lib"
cd "$new"

echo "ovs: unpacking openvswitch-switch into .cache/ovs"
# The libraries that nothing else here brings; -o: apt may not drop to _apt in somebody's home.
apt-get -q -q -o APT::Sandbox::User= download openvswitch-switch openvswitch-common libxdp1 libbpf1
for package in *.deb; do dpkg -x "$package" tree; done
find tree -type f \( -name ovs-vswitchd -o -name ovsdb-server -o -name ovsdb-tool -o -name ovs-vsctl \
    -o -name ovs-appctl -o -name ovs-ofctl -o -name ovsdb-client \) -perm -u+x -exec mv {} bin \;
mv tree/usr/share/openvswitch/vswitch.ovsschema .
find tree \( -name 'libxdp.so.1*' -o -name 'libbpf.so.1*' \) -exec mv {} lib \;
rm -rf -- tree *.deb

rm -rf "$place"
mv "$new" "$place"
