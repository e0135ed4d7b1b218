#!/bin/sh
# place.sh FOLDER NAME: PID 1 of a place that a test made with unshare(1); tests/support/place.py starts it.
# FOLDER has what the place owns: etc, run, lib, log, cache. It ends with its standard input, and all in it with it.
# shellcheck shell=dash
set -eu

folder=$1
hostname "$2"
ip link set lo up

# The links of this network, and no control groups: libvirt then asks for none.
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup

# This machine's /etc, read-only, but for what the folder has instead.
mkdir -p "$folder/machine-etc"
mount --bind /etc "$folder/machine-etc"
mount -o remount,bind,ro "$folder/machine-etc"
mount -t tmpfs -o mode=755 etc /etc
ln -s "$folder"/machine-etc/* /etc/
for entry in "$folder"/etc/*; do
    rm -f "/etc/${entry##*/}"
    cp -r "$entry" /etc/
done

mount -t tmpfs -o mode=755 run /run
mkdir /run/libvirt
# Seen from outside too: a libvirtd reaches another's sockets there.
mount --bind "$folder/run" /run/libvirt
for state in lib log cache; do
    mount --bind "$folder/$state" "/var/$state/libvirt"
done

echo ready
# Whatever else ends meanwhile, the shell reaps: libvirt waits long for a QEMU that stays a zombie.
exec 3<&0
cat <&3 >/dev/null &
wait $!
