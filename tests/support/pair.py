"""Two hosts and a client on one Ethernet, for live migration.

    client (10.99.0.1 on its bridge sw0) -- a: br0 (10.99.0.2)
                                         -- b: br0 (10.99.0.3)

The hosts have no network of their own between them: migration runs over UNIX sockets that both see.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from subprocess import Popen
from typing import Self

from tests.support.lab import Done
from tests.support.libvirtd import Host
from tests.support.place import Pings, Place

#: A persistent domain that is known where it runs and nowhere else.
_MOVE = ("--live", "--p2p", "--persistent", "--undefinesource")


@dataclass(frozen=True)
class Migration:
    """What became of a migration."""

    done: Done
    seconds: float
    #: From the client to the guest, one each 10 ms, from before the migration until after it.
    pings: Pings

    def __str__(self) -> str:
        """Say it in one line."""
        lost, late, sent = len(self.pings.lost), len(self.pings.late), self.pings.sent
        how = "moved" if self.done.status == 0 else "refused"
        pings = f"of {sent} pings {lost} lost, {late} late, gap {self.pings.gap} s"
        return f"{how} in {self.seconds:.2f} s; {pings}"


class Pair:
    """Two hosts, `a` and `b`, and `client`; as a context manager all of them start and end."""

    def __init__(self, *, kvm: bool = False) -> None:
        """Describe them."""
        self._stack = ExitStack()
        self._kvm = kvm

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.client = Place("client")
            stack.callback(self.client.remove)
            self.client.start()
            self.client.bridge("sw0", "10.99.0.1/24")
            self.a = stack.enter_context(Host("a", kvm=self._kvm))
            self.b = stack.enter_context(Host("b", kvm=self._kvm))
            self.plug(self.a, "10.99.0.2/24")
            self.plug(self.b, "10.99.0.3/24")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def plug(self, host: Host, address: str = "", bridge: str = "br0", uplink: str = "up0") -> None:
        """Make a bridge on a host and connect it to the client's."""
        port = f"{host.name}-{uplink}"
        host.bridge(bridge, address)
        host.cable(uplink, self.client, port)
        host.sh(f"ip link set {uplink} master {bridge}")
        self.client.sh(f"ip link set {port} master sw0")

    def other(self, host: Host) -> Host:
        """Return the other host."""
        return self.b if host is self.a else self.a

    def _argv(self, name: str, source: Host, options: tuple[str, ...]) -> list[str]:
        target = self.other(source)
        # The path of a socket may be used again, but not while another migration listens there.
        where = ["--migrateuri", f"unix://{target.folder}/{time.monotonic_ns()}.sock"]
        return ["virsh", "-q", "migrate", *_MOVE, *where, *options, name, target.uri]

    def migrate(
        self, name: str, source: Host, *options: str, status: int = 0, ip: str = "10.99.0.11"
    ) -> Migration:
        """Move a running guest from a host to the other while the client pings it."""
        with self.client.pinging(ip) as pings:
            time.sleep(0.2)
            start = time.monotonic()
            done = source.run(*self._argv(name, source, options), status=None)
            seconds = time.monotonic() - start
            time.sleep(0.5)
            result = Migration(done, seconds, pings())
        logs = f"{source.log()[-2000:]}\n{self.other(source).log()[-2000:]}"
        assert done.status == status, f"{done}\n{logs}"
        return result

    @contextmanager
    def migrating(self, name: str, source: Host, *options: str) -> Iterator[Popen[str]]:
        """Start a migration and leave it to the test: `--bandwidth 5` makes it last 20 s."""
        with source.running(*self._argv(name, source, options)) as process:
            yield process
