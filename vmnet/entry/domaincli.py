"""`vmnet sync`, `explain` and `template`: what libvirt's domains have beside attach and detach.

Job: their options in, service called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry import report
from vmnet.entry.options import (
    WAIT,
    By,
    DryRun,
    Json,
    Libvirt,
    Mac,
    Model,
    Mtu,
    Network,
    NicNumber,
    Plain,
    Queues,
    Vm,
    Wait,
    config,
    state,
)

OneVm = Annotated[str | None, typer.Argument(metavar="VM", help="Only this domain.")]


def sync(
    vm: OneVm = None,
    libvirt: Libvirt = None,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Bring the NICs of running libvirt domains to what was wished.

    libvirt runs no hook when a NIC is plugged in, and a bridge that is made anew has lost its
    ports. Says what it changed, and nothing where nothing was off.

    \b
    Examples:
      vmnet sync
      vmnet sync vm1 --dry-run
    """
    from vmnet import service
    from vmnet.entry import say_domain
    from vmnet.service.sync import sync

    state["json"] = json
    done, errors = sync(vm, uri=libvirt or None, config=config(), dry_run=dry_run, wait=wait)
    say_domain.synced(done, errors, dry_run=dry_run, as_json=json)
    service.raise_all(errors)


def explain(vm: Vm, libvirt: Libvirt = None, plain: Plain = False, json: Json = False) -> None:
    """Show where each setting of a VM's NICs comes from.

    \b
    Examples:
      vmnet explain vm1
    """
    from vmnet.entry import say_domain, verbs
    from vmnet.service.explain import explain_domain, explain_plain

    state["json"] = json
    notes: list[str] = []
    if verbs.Target(libvirt, plain=plain, live=False, config=False).is_domain(vm):
        found, notes = explain_domain(vm, libvirt or None, config())
    else:
        found = explain_plain(vm, config())
    say_domain.explained(vm, found, notes, as_json=json)


def template(
    vm: Vm,
    network: Network = None,
    nic: NicNumber = 0,
    queues: Queues = None,
    mac: Mac = None,
    mtu: Mtu = None,
    model: Model = "virtio-net-pci",
    by: By = "vmnet",
) -> None:
    """Print what a libvirt domain's XML needs for a NIC.

    To paste by `virsh edit`: the wish, for <metadata>, and the <interface>, for <devices>.

    \b
    Examples:
      vmnet template vm1 --network lan --queues 4
      vmnet template vm1 --network lan --by libvirt
    """
    from vmnet.entry import verbs
    from vmnet.model.nic import Wish, check_wish
    from vmnet.service.template import template

    verbs.check_by(by)
    wish = check_wish(Wish(vm, nic, None, network, mac, mtu, queues, None, model))
    report.answer(template(wish, config(), by_libvirt=by == "libvirt"))
