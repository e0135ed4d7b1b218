"""Errors: the drawn tree, what an errno becomes, and that every error says what to do."""

from __future__ import annotations

import ast
import errno
import inspect
import re
from collections.abc import Iterator

import pytest

from tests.unit.source import calls, modules
from vmnet import errors
from vmnet.entry.process import CannotBecome
from vmnet.errors import (
    Conflict,
    Interrupted,
    InvalidInput,
    KernelError,
    NotFound,
    NotPermitted,
    SeveralErrors,
    Unsupported,
    VmnetError,
    of_errno,
)

CLASSES: dict[str, type[VmnetError]] = {
    name: each
    for name, each in vars(errors).items()
    if inspect.isclass(each) and issubclass(each, VmnetError)
}
#: A command that was interrupted ends by that signal, so it has no exit status of its own.
BY_SIGNAL = {"Interrupted"}
#: These make their code or remedy themselves.
OWN_WORDS = {"KernelError", "SeveralErrors", "Interrupted"}


def drawn() -> dict[str, int]:
    """Return the tree in the module's docstring."""
    found = re.findall(r"(\w+) \.+ +(\d+) ", errors.__doc__ or "")
    return {name: int(number) for name, number in found}


def raised() -> Iterator[tuple[str, str, ast.Call]]:
    """Return every making of an error: where, which, the call."""
    for module, text in modules().items():
        for called, node in calls(text):
            name = called.split(".")[-1]
            if name in CLASSES:
                yield f"{module}:{node.lineno}", name, node


def keywords(node: ast.Call) -> dict[str, ast.expr]:
    return {each.arg: each.value for each in node.keywords if each.arg}


def test_every_class_has_the_exit_code_of_the_drawn_tree() -> None:
    codes = {name: each.exit_code for name, each in CLASSES.items() if name not in BY_SIGNAL}
    assert codes == drawn()


def test_no_two_classes_share_an_exit_code() -> None:
    codes = list(drawn().values())
    assert len(codes) == len(set(codes))
    # 126, 127 and what is above belong to programs that could not be run and to signals.
    assert all(0 < code < 126 for code in codes)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_what_it_means(name: str) -> None:
    assert issubclass(CLASSES[name], VmnetError)
    assert CLASSES[name].__doc__


@pytest.mark.parametrize("status", [126, 127])
def test_a_program_that_cannot_be_run_has_the_status_of_a_shell(status: int) -> None:
    error = CannotBecome("cannot run 'x'", status)
    assert error.exit_code == status
    assert error.remedy


def test_every_error_made_anywhere_has_a_code_and_a_remedy() -> None:
    wordless = [
        f"{where} {name}"
        for where, name, node in raised()
        if name not in OWN_WORDS and not {"code", "remedy"} <= keywords(node).keys()
    ]
    assert wordless == []


def test_no_code_or_remedy_is_empty() -> None:
    empty = [
        where
        for where, _, node in raised()
        for key, value in keywords(node).items()
        if key in ("code", "remedy") and isinstance(value, ast.Constant) and not value.value
    ]
    assert empty == []


def test_codes_are_stable_words() -> None:
    literal = {
        str(value.value)
        for _, _, node in raised()
        for key, value in keywords(node).items()
        if key == "code" and isinstance(value, ast.Constant)
    }
    assert len(literal) > 30
    assert {code for code in literal if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", code)} == set()


def test_the_walk_sees_an_error_without_a_remedy() -> None:
    text = "raise NotFound('x', code='y')"
    ((called, node),) = calls(text)
    assert called in CLASSES
    assert "remedy" not in keywords(node)


def test_every_obstacle_to_vhost_has_a_remedy() -> None:
    findings = [
        (node, ast.unparse(node.args[0]))
        for text in modules().values()
        for called, node in calls(text)
        if called == "Finding" and node.args
    ]
    wordless = [reason for node, reason in findings if len(node.args) < 3 and reason[0] == "R"]
    assert len(findings) > 8
    assert set(wordless) == {"Reason.OK", "Reason.ASKED_NOT"}


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (errno.EPERM, NotPermitted, "no-net-admin"),
        (errno.EACCES, NotPermitted, "no-net-admin"),
        (errno.EXFULL, Conflict, "bridge-full"),
        (errno.ENODEV, NotFound, "link-gone"),
        (errno.ENOENT, NotFound, "link-gone"),
        (errno.EMFILE, Unsupported, "fd-limit"),
        (errno.ENFILE, Unsupported, "fd-limit"),
        (errno.ENOMEM, KernelError, "kernel-enomem"),
        (errno.ENOBUFS, KernelError, "kernel-enobufs"),
        (errno.EINVAL, KernelError, "kernel-einval"),
        (errno.EOPNOTSUPP, KernelError, ("kernel-eopnotsupp", "kernel-enotsup")),
        (9999, KernelError, "kernel-9999"),
        (0, KernelError, "kernel-0"),
    ],
)
def test_an_errno_becomes_the_error_that_says_what_to_do(
    number: int, kind: type[VmnetError], code: str | tuple[str, ...]
) -> None:
    error = of_errno("put tap 'a' into bridge 'br0'", number)
    assert type(error) is kind
    assert error.code in ((code,) if isinstance(code, str) else code)
    assert error.message.startswith("cannot put tap 'a' into bridge 'br0': ")
    assert error.remedy
    assert error.message.isprintable()


def test_whose_descriptors_ran_out_decides_the_remedy() -> None:
    assert "ulimit -n" in of_errno("x", errno.EMFILE).remedy
    assert "fs.file-max" in of_errno("x", errno.ENFILE).remedy


def test_a_host_without_memory_is_told_so() -> None:
    for number in (errno.ENOMEM, errno.ENOBUFS):
        assert "out of memory" in of_errno("x", number).remedy
    assert "out of memory" not in of_errno("x", errno.EINVAL).remedy


def test_the_kernels_own_words_come_before_the_errnos() -> None:
    error = of_errno("set the MTU of link 'a'", errno.EINVAL, "mtu greater than device maximum")
    assert error.message == (
        "cannot set the MTU of link 'a': mtu greater than device maximum (EINVAL)"
    )
    assert of_errno("x", errno.EINVAL).message == "cannot x: Invalid argument (EINVAL)"


def test_a_kernel_error_keeps_its_number() -> None:
    error = of_errno("x", errno.EINVAL)
    assert isinstance(error, KernelError)
    assert error.errno == errno.EINVAL


def test_several_errors_keep_all_and_repeat_no_remedy() -> None:
    one = NotFound("a is gone", code="link-gone", remedy="look")
    two = Conflict("b is taken", code="mac-used", remedy="look")
    three = InvalidInput("c", code="bad-mac", remedy="mend")
    both = SeveralErrors([one, two, three])
    assert both.errors == [one, two, three]
    assert both.message == "a is gone; b is taken; c"
    assert both.remedy == "look; mend"


def test_errors_of_the_undo_do_not_replace_the_first() -> None:
    error = NotFound("a is gone", code="link-gone", remedy="look")
    assert error.undo_errors == []
    assert str(error) == "a is gone"


def test_an_interruption_names_its_signal() -> None:
    assert Interrupted(15).signum == 15
    assert "signal 15" in Interrupted(15).message
