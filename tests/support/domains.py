"""Domain and interface XML for tests: guests of `tests/lab/init`, one address a NIC."""

from __future__ import annotations

from pathlib import Path

from tests.support.guest import GUEST, KERNEL_ARGS

#: The namespace of vmnet's metadata.
NICS = "urn:vmnet:nics:1"


def mac(vm: int, nic: int = 0) -> str:
    """Return the MAC of a guest's NIC, guests counted from 1."""
    return f"52:54:00:99:{nic:02x}:{10 + vm:02x}"


def address(vm: int, nic: int = 0) -> str:
    """Return the address of a guest's NIC, guests counted from 1."""
    return f"10.99.{nic}.{10 + vm}"


def metadata(*nics: str) -> str:
    """Return vmnet's metadata of NICs, each given as its attributes: 'mac="..." network="lan"'."""
    inner = "".join(f"<vmnet:nic {nic}/>" for nic in nics)
    return f'<vmnet:nics xmlns:vmnet="{NICS}">{inner}</vmnet:nics>'


def bridge_nic(mac_address: str, bridge: str = "br0", inner: str = "") -> str:
    """Return an interface whose TAP libvirt makes."""
    return _nic("bridge", mac_address, f"<source bridge='{bridge}'/>{inner}")


def network_nic(mac_address: str, network: str, inner: str = "") -> str:
    """Return an interface in one of libvirt's networks."""
    return _nic("network", mac_address, f"<source network='{network}'/>{inner}")


def tap_nic(mac_address: str, tap: str, inner: str = "", managed: str = "no") -> str:
    """Return an interface whose TAP is there when QEMU starts (`managed='no'`)."""
    return _nic("ethernet", mac_address, f"<target dev='{tap}' managed='{managed}'/>{inner}")


def _nic(kind: str, mac_address: str, inner: str) -> str:
    model = "" if "<model" in inner else "<model type='virtio'/>"
    return f"<interface type='{kind}'><mac address='{mac_address}'/>{inner}{model}</interface>"


def network_xml(name: str, bridge: str) -> str:
    """Return a network of libvirt's that is a bridge of the host's."""
    return (
        f"<network><name>{name}</name><forward mode='bridge'/><bridge name='{bridge}'/></network>"
    )


def domain_xml(
    name: str,
    *interfaces: str,
    console: Path,
    addresses: tuple[str, ...] = (),
    metadata: str = "",
    kvm: bool = False,
    cpus: int = 1,
    args: str = "",
) -> str:
    """Return a domain that boots the test guest; its serial console is that file."""
    places = " ".join(f"vmip{number}={ip}/24" for number, ip in enumerate(addresses))
    kind, cpu = ("kvm", "<cpu mode='host-passthrough'/>") if kvm else ("qemu", "")
    return f"""<domain type='{kind}'><name>{name}</name>
<metadata>{metadata}</metadata>
<memory unit='MiB'>160</memory><vcpu>{cpus}</vcpu>{cpu}
<os><type arch='x86_64' machine='pc'>hvm</type>
<kernel>{GUEST}/vmlinuz</kernel><initrd>{GUEST}/initrd.gz</initrd>
<cmdline>{KERNEL_ARGS} {places} {args}</cmdline></os>
<features><acpi/></features><on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<controller type='usb' model='none'/><memballoon model='none'/>
<serial type='file'><source path='{console}'/></serial>
{"".join(interfaces)}
</devices></domain>"""
