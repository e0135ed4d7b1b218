#!/bin/sh
# Unpacks DPDK's testpmd into .cache/dpdk: a program of another house that serves a guest's rings (vhost-user).
# Nothing of it is installed; it wants no huge pages and no NIC.
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
place=$repo/.cache/dpdk
new=$place.new.$$

[ ! -e "$place/bin/dpdk-testpmd" ] || exit 0
if ! apt-cache show dpdk-dev >/dev/null 2>&1; then
    [ "$(id -u)" != 0 ] || apt-get -q -q update
fi
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$new/bin" "$new/lib" "$new/plugins"
cd "$new"

echo "dpdk: unpacking dpdk-dev into .cache/dpdk"
download() {
    # -o: apt may not drop to _apt in somebody's home.
    apt-get -q -q -o APT::Sandbox::User= download "$@"
    for package in *.deb; do dpkg -x "$package" tree; done
    rm -f -- *.deb
}
# librte_net_ring.so.23 -> librte-net-ring23, librte_common_mlx5.so.23 -> librte-common-mlx5-23
lacking() {
    ldd tree/usr/bin/dpdk-testpmd | sed -n 's/^\s*\(librte_[a-z0-9_]*\)\.so\.\([0-9]*\) => not found$/\1 \2/p' |
        sed 's/_/-/g; s/\([0-9]\) \([0-9]*\)$/\1-\2/; s/ \([0-9]*\)$/\1/'
}
download dpdk-dev
number=$(ldd tree/usr/bin/dpdk-testpmd | sed -n 's/^\s*librte_eal\.so\.\([0-9]*\) .*/\1/p')
# shellcheck disable=SC2046 # a list of words
download $(lacking) "librte-net-vhost$number" "librte-net-tap$number" "librte-vhost$number" "librte-dmadev$number" \
    "librte-mempool-ring$number" "librte-stack$number" ibverbs-providers libibverbs1
find tree -name dpdk-testpmd -type f -exec mv {} bin \;
# Some names are links to files elsewhere in the tree.
find tree -name "lib*.so.[0-9]*" -exec cp -L {} lib \;
for name in net_vhost net_tap mempool_ring; do mv "lib/librte_$name.so.$number" plugins; done
rm -rf -- tree

rm -rf "$place"
mv "$new" "$place"
