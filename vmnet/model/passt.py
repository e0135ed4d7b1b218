"""passt's command line.

Job: the options with which vmnet runs it, and the MTU that suits it.
Leaves to others: running it (`vmnet.peers.passt`).
Privilege: none.

Grammar: passt(1).
"""

from __future__ import annotations

from vmnet.model.wirestep import StartPasst

PROGRAM = "passt"
#: What passt hands on in one piece, in bytes: its own default, which spares it most of its work.
PASST_MTU = 65520


def passt_words(step: StartPasst) -> list[str]:
    """Return the words of the command line, less the descriptor.

    The guest does not reach what listens on this host's loopback, which passt would let it by the
    gateway's address; and what is forwarded is offered to this host alone.
    """
    ports = ",".join(f"{host}:{guest}" for host, guest in step.forward)
    forwarded = f"127.0.0.1/{ports}" if ports else "none"
    words = [PROGRAM, "--quiet", "--stderr", "--no-map-gw", "--mtu", str(step.mtu)]
    return [*words, "--tcp-ports", forwarded, "--udp-ports", "none"]
