"""nftables, through libnftables. The one file that calls it.

Job: give it commands, tell what it refused in the kernel's words.
Leaves to others: the commands (`vmnet.model.nft`).
Privilege: CAP_NET_ADMIN in the network namespace, to look as well.

By ctypes: the library's own Python binding is not on the package index, and is these few calls.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, assert_never

from vmnet.errors import Conflict, NotFound, NotPermitted, Unsupported, VmnetError, of_errno
from vmnet.kernel.child import with_library
from vmnet.model.nft import (
    change_text,
    forget_text,
    install_text,
    list_text,
    parse_listing,
    remove_text,
    strict_text,
)
from vmnet.model.portfacts import Filter, Table
from vmnet.model.portstep import (
    ChangeFilter,
    FilterStep,
    ForgetLink,
    InstallFilter,
    RemoveFilter,
    SetStrict,
)
from vmnet.model.ref import Ref
from vmnet.model.words import describe

_LIBRARY = "libnftables.so.1"
#: nftables/libnftables.h NFT_CTX_OUTPUT_JSON: both ways; text that is no JSON is nft's language.
_JSON = 1 << 4
_CODES = {number: os.strerror(number) for number in errno.errorcode}


def run(doing: str, text: str) -> str:
    """Run commands, all or none of them; return what they print.

    Args:
        doing: what this is for, as the rest of `cannot ...`.
        text: in nft's language, or its JSON.

    Raises:
        Unsupported: there is no libnftables, or this kernel lacks what the commands want.
        NotPermitted: this process may not.
        VmnetError: anything else that was refused.
    """
    try:
        library = _library()
    except OSError as error:
        raise of_errno(doing, error.errno or 0) from error
    # libnftables ends its whole process, with nothing undone, where it gets no socket or no answer
    # on one (src/mnl.c netlink_init_error): it gets a process of its own.
    answer = with_library(lambda: _run(library, text))
    if isinstance(answer, str):
        raise _refusal(doing, answer)
    done, output = answer
    if not done:
        raise _refusal(doing, output)
    return str(output)


def _run(library: Any, text: str) -> tuple[bool, str]:
    """Return whether libnftables did all, and what it printed, or why not."""
    context = library.nft_ctx_new(0)
    if not context:
        return False, os.strerror(errno.ENOMEM)
    library.nft_ctx_output_set_flags(context, _JSON)
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    status = library.nft_run_cmd_from_buffer(context, text.encode())
    buffer = library.nft_ctx_get_error_buffer if status else library.nft_ctx_get_output_buffer
    return not status, (buffer(context) or b"").decode("utf-8", "replace")


def look() -> Filter:
    """Return what vmnet's filter table holds.

    Raises:
        VmnetError: libnftables would not tell.
    """
    try:
        return parse_listing(run("look at vmnet's filter", list_text()))
    except NotFound:
        return Filter(Table.ABSENT)


def apply(step: FilterStep, index_of: Callable[[Ref], int]) -> None:
    """Carry out one step.

    Raises:
        VmnetError: it was refused, and nothing of it is done.
    """
    match step:
        case InstallFilter(strict):
            run(describe(step), install_text(strict=strict))
        case ChangeFilter(link, add, drop):
            name = _living(step, index_of(link))
            run(describe(step), change_text(name, add, drop))
        case ForgetLink():
            forget([step])
        case SetStrict(bridge, strict):
            run(describe(step), strict_text(bridge, strict=strict))
        case RemoveFilter():
            run(describe(step), remove_text())
        case _:
            assert_never(step)


def forget(steps: Sequence[ForgetLink]) -> None:
    """Take away what there is about links that are gone, all at once: each time costs some 20 ms.

    Raises:
        VmnetError: it was refused, and nothing of it is done.
    """
    gone = [step for step in steps if name_of(step.index) == str(step.index)]
    if gone:
        text = forget_text((str(step.index), step.entries) for step in gone)
        run(describe(gone[0]), text)


def _living(step: FilterStep, index: int) -> str:
    """Return the name of a link that is there; nft would take a name of digits for an index."""
    name = name_of(index)
    if not name.isdigit():
        return name
    if name == str(index):
        raise of_errno(describe(step), errno.ENODEV)
    raise Conflict(
        f"cannot {describe(step)}: nft takes a name of digits alone for an index",
        code="bad-link-name",
        remedy="name the TAP otherwise",
    )


def name_of(index: int) -> str:
    """Return the name of a link; its index, in digits, if there is none."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


@cache
def _library() -> Any:
    import ctypes  # noqa: PLC0415 - a file less for those who have no guard

    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        # The loader's words, and no errno.
        number = _errno_of(str(error))
        if number not in (0, errno.ENOENT):
            raise of_errno(f"load {_LIBRARY}", number) from error
        raise Unsupported(
            f"{_LIBRARY} is not on this host, and the guard of guests' ports wants it",
            code="nft-missing",
            remedy="`apt-get install libnftables1`; or do without the guard: --no-guard",
        ) from error
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    calls = {
        "nft_ctx_new": (pointer, [ctypes.c_uint32]),
        "nft_ctx_free": (None, [pointer]),
        "nft_ctx_output_set_flags": (None, [pointer, ctypes.c_uint]),
        "nft_ctx_buffer_output": (ctypes.c_int, [pointer]),
        "nft_ctx_buffer_error": (ctypes.c_int, [pointer]),
        "nft_ctx_get_output_buffer": (text, [pointer]),
        "nft_ctx_get_error_buffer": (text, [pointer]),
        "nft_run_cmd_from_buffer": (ctypes.c_int, [pointer, text]),
    }
    for name, (result, arguments) in calls.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


#: What the library says itself of a link that went before it looked (src/meta.c).
_NO_LINK = "Interface does not exist"


def _errno_of(text: str) -> int:
    """Return the errno that a text names in strerror(3)'s words; 0 for none.

    Some advice may follow: `Operation not permitted (you must be root)`.
    """
    named = {words: number for number, words in _CODES.items() if words in text}
    return named[max(named, key=len)] if named else 0


def _refusal(doing: str, said: str) -> VmnetError:
    """Return a typed error: libnftables answers in words, the kernel's by strerror(3)."""
    first = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    # `internal:0:0-0: Error: Could not process rule: No such file or directory`
    why = first.partition("Error: ")[2] or first
    number = errno.ENODEV if why.startswith(_NO_LINK) else _errno_of(why)
    if number in (errno.EPERM, errno.EACCES):
        return NotPermitted(
            f"cannot {doing}: {why}",
            code="not-permitted",
            remedy="run it as root, or with CAP_NET_ADMIN",
        )
    if number in (errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return Unsupported(
            f"cannot {doing}: this kernel lacks what it wants ({why})",
            code="nft-kernel",
            remedy="`modprobe nf_tables` and see CONFIG_NF_TABLES_BRIDGE; or --no-guard; "
            "for a strict network CONFIG_NFT_BRIDGE_META, or none that is strict",
        )
    if number:
        return of_errno(doing, number, why)
    if "syntax error" in why or "unexpected" in why or "datatype mismatch" in why:
        return Unsupported(
            f"cannot {doing}: this libnftables is too old for the rules ({why})",
            code="nft-old",
            remedy="vmnet is tried with nftables 1.0.6: `nft --version`; or --no-guard",
        )
    return VmnetError(f"cannot {doing}: {why}", code="nft", remedy="`nft list ruleset` may tell")
