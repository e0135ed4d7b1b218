"""`vmnet top` and `metrics`: options in, service called, answer out.

Job: the command's own options; one look or a screen.
Leaves to others: the screen (`vmnet.entry.screen`), everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import Json, state

OneVm = Annotated[str | None, typer.Argument(metavar="VM", help="Only this VM.")]
Interval = Annotated[
    float, typer.Option(metavar="SECONDS", help="What lies between two looks.", min=0.1, max=3600)
]
Once = Annotated[bool, typer.Option("--once", help="Answer once and end; also without a terminal.")]
Sort = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="vm, in, out, drops, cpu or runs; the greatest first.",
        autocompletion=lambda: list(KEYS),
    ),
]

#: What rows can be sorted by; each begins with its key on the screen.
KEYS = ("vm", "in", "out", "drops", "cpu", "runs")


def metrics(vm: OneVm = None) -> None:
    """Print what went through the NICs of VMs, for Prometheus.

    Counters since each TAP was made; receive is what the guest got. For node_exporter's textfile
    collector, or whatever else scrapes text.

    \b
    Examples:
      vmnet metrics > /var/lib/prometheus/node-exporter/vmnet.prom
    """
    from vmnet.entry import report
    from vmnet.service import traffic

    report.answer(traffic.metrics(vm).rstrip("\n"))


def top(
    vm: OneVm = None,
    interval: Interval = 2.0,
    sort: Sort = "vm",
    once: Once = False,
    json: Json = False,
) -> None:
    """Show what goes through the NICs of VMs, live.

    From the guest's side: IN is what the guest gets. Bits and packets per second, packets lost
    both ways, queues used and open, and of the vhost workers of its QEMU, for all its NICs
    together: CPU, and how often they were given a processor.

    Keys: v i o d c r sort, / filters by VM (Enter ends it), space holds still, q ends.

    \b
    Examples:
      vmnet top
      vmnet top vm1 --interval 1
      vmnet top --once --json --interval 5
    """
    import sys

    from vmnet.entry import say_top
    from vmnet.errors import InvalidInput

    state["json"] = json
    if sort not in KEYS:
        raise InvalidInput(
            f"rows cannot be sorted by {sort[:40]!r}",
            code="bad-sort",
            remedy=f"one of {', '.join(KEYS)}",
        )
    if once or json or sys.stdout is None or not sys.stdout.isatty():
        say_top.once(vm, interval, sort, as_json=json)
        return
    from vmnet.entry import screen

    screen.show(vm, interval, sort)
