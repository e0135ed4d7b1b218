"""The benchmark: `./dev bench`, or `./dev bench -h` for what it can do."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.bench.show import Table

# Run as a file, it finds its siblings by the repository's root.
sys.path[0] = str(Path(__file__).parents[2])

_ABOUT = """\
Figures to read, not tests: nothing fails for being slow. Subjects run in turn
(A B C A B C ...); a ratio is the median of the ratios within each round.

  a  vmnet attach, the whole process, beside ip in sh, Python alone, its imports
  b  attach and detach in a running process, beside C making the same calls
  c  attach, list and detach with 10, 100 and 1000 TAPs there
  d  the data path: context switches and CPU time per packet for vhost-net,
     userspace virtio and e1000; boots the test host, minutes
  e  virsh start and destroy: no hook, one that does nothing, vmnet's
  f  libvirt's hook by itself, and where the time of a call goes
  g  a full policy set up beside sh, and what it costs a frame with 10 and 1000 guests
  h  many TAPs removed: one by one, beside each other, as a group of links
  i  attach on each wire beside ovs-vsctl, and ten megabytes of a guest's over each
"""


def main() -> None:
    """Measure what was asked for, print the tables."""
    wish = _arguments()
    if wish.inside:
        from tests.bench import inside

        inside.measure(wish.rounds, wish.pings)
        return
    if set(_parts(wish)) & set("abcefghi") and os.geteuid() != 0:
        sys.exit("bench: all but d need a network namespace: run them as root")
    from tests.bench import machine

    facts = machine.facts()
    facts["repeat"] = " ".join(["./dev bench", *sys.argv[1:]])
    _print("\n".join(f"{name:8} {text}" for name, text in facts.items()))
    parts = {}
    for part in _parts(wish):
        tables = _measure(part, wish)
        for table in tables:
            _print(f"\n{table.text()}")
        parts[part] = [table.data for table in tables] if len(tables) > 1 else tables[0].data
    if "d" not in parts:
        _print("\nThe data path is measured by `./dev bench --datapath` (boots a test host).")
    if wish.json:
        text = json.dumps({"on": facts, "parts": parts}, indent=2)
        Path(wish.json).write_text(text + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="a to i; left out: a b c")
    parser.add_argument("--all", action="store_true", help="all parts")
    parser.add_argument("--datapath", action="store_true", help="part d alone")
    parser.add_argument(
        "-n",
        type=int,
        default=15,
        metavar="N",
        help="rounds of a, e, f; b has 10 N, c, h and i N/3 (%(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="rounds of d (%(default)s)"
    )
    parser.add_argument(
        "--pings", type=int, default=300, metavar="N", help="pings a round of d (%(default)s)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if unknown := set(wish.parts) - set("abcdefghi"):
        parser.error(f"no such part: {' '.join(sorted(unknown))}")
    if min(wish.n, wish.rounds, wish.pings) < 1:
        parser.error("a number is to be at least 1")
    return wish


def _parts(wish: argparse.Namespace) -> list[str]:
    if wish.all:
        return list("abcdefghi")
    if wish.datapath:
        return ["d"]
    return sorted(set(wish.parts)) or list("abc")


def _measure(part: str, wish: argparse.Namespace) -> list[Table]:
    if part == "g":
        from tests.bench import policy

        return policy.measure(wish.n)
    if part == "i":
        from tests.bench import wires

        return wires.measure(max(wish.n // 3, 1))
    return [_one_table(part, wish)]


def _one_table(part: str, wish: argparse.Namespace) -> Table:
    # Each part loads what it needs: in the test host a module costs a second.
    if part == "a":
        from tests.bench import cold

        return cold.measure(wish.n)
    if part == "b":
        from tests.bench import warm

        return warm.measure(10 * wish.n)
    if part == "c":
        from tests.bench import many

        return many.measure(max(wish.n // 3, 1))
    if part == "e":
        from tests.bench import virsh

        return virsh.measure(wish.n)
    if part == "h":
        from tests.bench import removal

        return removal.measure(max(wish.n // 3, 1))
    if part == "f":
        from tests.bench import hook

        return hook.measure(wish.n)
    from tests.bench import datapath

    return datapath.measure(wish.rounds, wish.pings)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
