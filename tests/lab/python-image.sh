#!/bin/sh
# python-image.sh OUT: packs Python's library and .venv's packages into a small file system for the test host.
# There, import over 9p takes two to three times as long. Does nothing while OUT is newer than .venv's stamp.
# shellcheck shell=dash
set -eu

repo=$(cd "$(dirname "$0")/../.." && pwd)
out=$1
PATH=$PATH:/sbin:/usr/sbin

if [ -e "$out" ] && [ "$out" -nt "$repo/.venv/lock.stamp" ] && [ "$out" -nt "$0" ]; then
    exit 0
fi
mkdir -p "$(dirname "$out")"
tree=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$tree" "$tree.img"' EXIT
trap 'exit 130' INT TERM

# pack FROM TO [TAR-OPTION...]
pack() {
    from=$1 to=$2
    shift 2
    mkdir "$tree/$to"
    tar -C "$from" "$@" -cf - . | tar -C "$tree/$to" -xf -
}
python=$repo/.venv/bin/python
pack "$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" stdlib \
    --exclude='./test' --exclude='./config-*' --exclude='./site-packages' --exclude='./dist-packages'
# What only `check` and `setup` use stays out.
pack "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" site \
    --exclude='./*mypy*' --exclude='./ruff*' --exclude='./pip*' --exclude='./setuptools*' \
    --exclude='./pkg_resources' --exclude='./hatchling*' --exclude='./trove_classifiers*'

size=$(($(du -sm "$tree" | cut -f 1) * 5 / 4 + 16))
mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$tree" "$tree.img" "${size}M" >/dev/null
mv "$tree.img" "$out"
