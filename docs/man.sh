#!/bin/sh
# Writes docs/man/*.1 from the commands' own --help, by help2man(1). `./dev man` calls it.
# A test writes them anew and compares, so a page never says less than --help.
set -eu

cd "$(dirname "$0")/.."
out=${1:-docs/man}
vmnet=.venv/bin/vmnet
export COLUMNS=80 LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1795392000 TERM=dumb
mkdir -p "$out"

# page NAME SUMMARY [WORD...]: the page of one command.
page() {
    name=$1 summary=$2
    shift 2
    help2man --no-info --no-discard-stderr --section 1 --source vmnet --manual 'vmnet manual' \
        --name "$summary" --version-string "$($vmnet --version | cut -d' ' -f2)" \
        --output "$out/$name.1" "$vmnet${*:+ $*}"
    # It calls every page VMNET, and makes one paragraph of the examples.
    sed -i -e "s/^\\.TH .* \"1\" /.TH $(echo "$name" | tr "[:lower:]" "[:upper:]") \"1\" /" \
        -e '/^Examples:$/,/^\.SH/ { s/^\.IP$/&\n.nf/; s/^\.SH/.fi\n&/ }' "$out/$name.1"
}

page vmnet 'network for QEMU/KVM virtual machines'
page vmnet-attach 'make the NIC of a VM ready before QEMU starts' attach
page vmnet-plan 'print what vmnet attach would do' plan
page vmnet-detach 'take away all that was made for a VM' detach
page vmnet-run 'start QEMU with its NICs' run
page vmnet-list 'show the NICs that vmnet made or manages' list
page vmnet-who 'show which process holds a TAP' who
page vmnet-gc 'remove what vmnet made and nobody uses any more' gc
page vmnet-probe "prove that this host's machinery works" probe
page vmnet-bridge-create 'make a bridge' bridge create
page vmnet-bridge-delete 'delete a bridge that vmnet made' bridge delete
page vmnet-bridge-add-uplink "make a NIC of the host's a port of a bridge" bridge add-uplink
page vmnet-bridge-confirm "let a bridge's new uplink stay" bridge confirm
page vmnet-bridge-remove-uplink 'give a NIC back what went from it to a bridge' bridge remove-uplink
page vmnet-config-check 'read the configuration' config check
page vmnet-hook-install "let libvirt call vmnet for its domains" hook install
page vmnet-hook-uninstall "take libvirt's hook away" hook uninstall
page vmnet-hook-test "show what libvirt's hook would do" hook test
page vmnet-hook-status "say whether libvirt calls vmnet" hook status
page vmnet-sync "bring libvirt's running domains to what was wished" sync
page vmnet-explain "show where each setting of a VM's NICs comes from" explain
page vmnet-status "show what NICs are asked to be and what they are, with proof" status
page vmnet-graph 'draw this host: bridges, patches, TAPs, VMs' graph
page vmnet-top "show what goes through the NICs of VMs, live" top
page vmnet-metrics "print what went through the NICs of VMs, for Prometheus" metrics
page vmnet-template "print what a libvirt domain's XML needs for a NIC" template
page vmnet-patch 'join two bridges, or a bridge and a container' patch
page vmnet-unpatch 'take away what vmnet patch made' unpatch
page vmnet-tun-create 'make a TUN for a program of yours' tun create
page vmnet-tun-delete 'delete a TUN that vmnet made' tun delete
page vmnet-tun-list 'show the TUNs that are here' tun list
page vmnet-up 'bring about what the configuration wishes' up
page vmnet-down 'take away what the configuration wishes' down
page vmnet-host-install "keep the host's own programs off vmnet's ports" host install
page vmnet-host-uninstall "take vmnet's files about that away" host uninstall
page vmnet-host-status "say whether they are there and do their work" host status
