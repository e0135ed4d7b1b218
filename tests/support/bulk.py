"""Bytes by TCP: `bulk.py take ADDRESS PORT`, and `bulk.py give|echo ADDRESS PORT BYTES`.

`take` says `ready` when it listens, and prints as JSON how many bytes came and their SHA-256 when
the other end has closed. `give` sends so many, the same in each run, and prints the same of them.
`echo` does both with a server that sends back what it gets: it prints what came, and in how many
seconds.
It runs by itself, inside namespaces of a test: the standard library is all it may want.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
import threading
import time

_PART = 1 << 16
_LIMIT = 120.0


def _report(digest: hashlib._Hash, count: int, **more: float) -> None:
    found = {"bytes": count, "sha256": digest.hexdigest(), **more}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def _take(address: str, port: int) -> None:
    digest, count = hashlib.sha256(), 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        server.settimeout(_LIMIT)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        connection, _ = server.accept()
        connection.settimeout(_LIMIT)
        with connection:
            while part := connection.recv(_PART):
                digest.update(part)
                count += len(part)
    _report(digest, count)


def _give(address: str, port: int, total: int) -> None:
    digest, count = hashlib.sha256(), 0
    source = random.Random(total)  # noqa: S311 - the same bytes in each run
    with socket.create_connection((address, port), timeout=_LIMIT) as connection:
        while count < total:
            part = source.randbytes(min(_PART, total - count))
            connection.sendall(part)
            digest.update(part)
            count += len(part)
    _report(digest, count)


def _echo(address: str, port: int, total: int) -> None:
    sent = random.Random(total).randbytes(total)  # noqa: S311 - the same bytes in each run
    digest, count = hashlib.sha256(), 0
    with socket.create_connection((address, port), timeout=_LIMIT) as connection:
        began = time.monotonic()
        writer = threading.Thread(target=connection.sendall, args=(sent,), daemon=True)
        writer.start()
        while count < total and (part := connection.recv(_PART)):
            digest.update(part)
            count += len(part)
        seconds = time.monotonic() - began
    if digest.digest() != hashlib.sha256(sent).digest():
        sys.exit(f"{count} of {total} bytes came back, or others")
    _report(digest, count, seconds=seconds)


def _main(verb: str, address: str, port: str, *rest: str) -> None:
    if verb == "take":
        _take(address, int(port))
    elif verb == "echo":
        _echo(address, int(port), int(rest[0]))
    else:
        _give(address, int(port), int(rest[0]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
