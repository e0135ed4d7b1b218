"""The command line: help that fits and teaches, usage errors, and options to values."""

from __future__ import annotations

import json
import re
import sys
from functools import cache

import pytest
import typer
from typer.testing import CliRunner

from tests.support.lab import checked
from vmnet import __version__
from vmnet.entry import cli, door, uplinkcli, verbs
from vmnet.errors import InvalidInput
from vmnet.model.nic import Wish
from vmnet.model.vhost import Policy
from vmnet.service import uplinks

COMMANDS = [
    ["attach"],
    ["plan"],
    ["detach"],
    ["run"],
    ["list"],
    ["who"],
    ["gc"],
    ["probe"],
    ["sync"],
    ["explain"],
    ["template"],
    ["bridge", "create"],
    ["bridge", "delete"],
    ["bridge", "add-uplink"],
    ["bridge", "confirm"],
    ["bridge", "remove-uplink"],
    ["config", "check"],
    ["hook", "install"],
    ["hook", "uninstall"],
    ["hook", "status"],
    ["hook", "test"],
    ["up"],
    ["down"],
    ["host", "install"],
    ["host", "uninstall"],
    ["host", "status"],
    ["patch"],
    ["unpatch"],
    ["status"],
    ["top"],
    ["graph"],
    ["metrics"],
    ["tun", "create"],
    ["tun", "delete"],
    ["tun", "list"],
]
#: Options that exclude each other.
BOTH_TIMES = ("--confirm-within=60", "--no-timer")
GROUPS: list[list[str]] = [[], ["bridge"], ["config"], ["hook"], ["host"], ["tun"]]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """However wide the terminal is, help stays within 80 columns."""
    monkeypatch.setenv("COLUMNS", "200")


@cache
def shown(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words), prog_name="vmnet")
    assert result.exit_code == 0, result.output
    return result.output


def known(typer_app: typer.Typer, *before: str) -> set[tuple[str, ...]]:
    """Return every command the program has, as its words."""
    found = {(*before, name) for name in map(_name, typer_app.registered_commands)}
    for group in typer_app.registered_groups:
        assert group.typer_instance is not None
        found |= known(group.typer_instance, *before, str(group.name))
    return found


def _name(command: typer.models.CommandInfo) -> str:
    assert command.callback is not None
    return command.name or command.callback.__name__


def test_the_tests_know_every_command() -> None:
    assert known(cli.app) == {tuple(words) for words in COMMANDS}


@pytest.mark.parametrize("words", GROUPS + COMMANDS, ids=" ".join)
def test_help_fits_80_columns(words: list[str]) -> None:
    text = shown(*words, "--help")
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith(f"Usage: {' '.join(['vmnet', *words])} ")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_examples_that_the_command_would_take(words: list[str]) -> None:
    text = shown(*words, "--help")
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0]
    assert f"vmnet {' '.join(words)}" in examples
    for option in re.findall(rf"vmnet {' '.join(words)}[^-]*(--[a-z-]+)", examples):
        assert re.search(rf"^ +{option}\b", text.partition("Options:")[2], re.MULTILINE)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_and_argument_is_explained(words: list[str]) -> None:
    text = shown(*words, "--help")
    listed = re.findall(r"^  (-\S+|[A-Z]+ <\w+>).*$", text, re.MULTILINE)
    assert listed
    # A long name has its words on the next line.
    for line in re.findall(r"^  -.*(?:\n {20,}\S.*)?$", text, re.MULTILINE):
        assert re.search(r"\S\s{2,}\S", line), line


@pytest.mark.parametrize("words", [(), ("bridge",), ("config",), ("hook",)])
def test_no_summary_of_a_command_is_cut(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown.cache_clear()
    assert "..." not in shown(*words, "--help").partition("\nCommands:")[2]


def test_help_has_a_short_form_and_is_what_the_command_alone_shows() -> None:
    assert shown() == shown("-h") == shown("--help")
    assert shown("attach", "-h") == shown("attach", "--help")


def test_help_names_every_exit_status() -> None:
    text = " ".join(shown("--help").split())
    for status in range(13):
        assert re.search(rf"\b{status} [a-z]", text)


def test_the_version_is_the_packages() -> None:
    assert shown("--version") == f"vmnet {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["attach"],
        ["attach", "vm1", "--queues", "two"],
        ["attach", "vm1", "--wait", "-1"],
        ["attach", "vm1", "--colour"],
        ["attach", "vm1", "vm2"],
        ["fly"],
        ["bridge", "fly"],
        ["run", "vm1"],
    ],
)
def test_a_call_that_cannot_be_read_ends_with_2(words: list[str]) -> None:
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "vmnet" in result.stderr or "Error" in result.stderr


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[object, str, str]:
    monkeypatch.setattr(door, "begin", lambda: None)
    monkeypatch.setattr(sys, "argv", ["vmnet", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return (end.value.code, *capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["attach", "vm1", "--vhost", "--no-vhost"], "vhost-options"),
        (["attach", "a/b"], "bad-vm-name"),
        (["attach", "vm1", "--bridge", "x" * 16], "bad-link-name"),
        (["attach", "vm1", "--mtu", "67"], "bad-mtu"),
        (["attach", "vm1", "--queues", "257"], "bad-queues"),
        (["attach", "vm1", "--mac", "01:00:5e:00:00:01"], "bad-mac"),
        (["plan", "vm1", "--nic", "100"], "bad-nic"),
        (["detach", "vm1", "--nic", "-1"], "bad-nic"),
        (["gc", "--idle", "soon"], "bad-age"),
        (["bridge", "create", "a b"], "bad-link-name"),
        (["bridge", "create", "br0", "--mtu", "65522"], "bad-mtu"),
        (["bridge", "delete", ""], "bad-link-name"),
        (["bridge", "create", ""], "bad-link-name"),
        (["bridge", "add-uplink", "", "eth1"], "bad-link-name"),
        (["bridge", "add-uplink", "br0", ""], "bad-link-name"),
        (["bridge", "confirm", ""], "bad-link-name"),
        (["bridge", "remove-uplink", "br0", ""], "bad-link-name"),
        (["bridge", "add-uplink", "br0", "eth1", *BOTH_TIMES], "timer-options"),
        (["bridge", "add-uplink", "br0", "eth1", *reversed(BOTH_TIMES)], "timer-options"),
        (["host", "install", "--root", ""], "bad-root"),
        (["host", "uninstall", "--root", ""], "bad-root"),
        (["host", "status", "--root", ""], "bad-root"),
        (["host", "install", "--group", ""], "bad-group"),
        (["hook", "install", "--python", "", "--dry-run"], "hook-python"),
        (["--config", "", "config", "check"], "bad-config-path"),
        (["--config", "", "up"], "bad-config-path"),
        (["--config", "", "down"], "bad-config-path"),
        (["list", "a/b"], "bad-vm-name"),
        (["run", "vm1", "--json", "--nic", "colour=blue", "--", "true"], "bad-nic-spec"),
    ],
)
def test_bad_input_is_an_error_with_status_2_in_words_and_in_json(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: str,
) -> None:
    as_json = words if "--json" in words else [*words, "--json"]
    status, out, err = ended(monkeypatch, capsys, *as_json)
    error = json.loads(err)["error"]
    assert (status, out, error["code"], error["exit_code"]) == (2, "", code, 2)
    assert error["remedy"]
    status, out, err = ended(monkeypatch, capsys, *(word for word in words if word != "--json"))
    assert (status, out) == (2, "")
    assert err.splitlines() == [f"vmnet: {error['message']}", f"  try: {error['remedy']}"]


def test_a_configuration_that_is_not_there_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = ended(monkeypatch, capsys, "--config", "/nowhere.toml", "config", "check")
    assert (status, out) == (3, "")
    assert err.startswith("vmnet: /nowhere.toml")


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        ({}, None),
        ({"vhost": True}, Policy.PREFER),
        ({"no_vhost": True}, Policy.OFF),
        ({"require_vhost": True}, Policy.REQUIRE),
    ],
)
def test_each_vhost_option_is_a_policy(options: dict[str, bool], policy: Policy | None) -> None:
    none = {"vhost": False, "no_vhost": False, "require_vhost": False}
    assert verbs.policy(**{**none, **options}) is policy


@pytest.mark.parametrize("left_out", ["vhost", "no_vhost", "require_vhost", ""])
def test_vhost_options_exclude_each_other(left_out: str) -> None:
    given = {key: key != left_out for key in ("vhost", "no_vhost", "require_vhost")}
    with pytest.raises(InvalidInput, match="exclude each other"):
        verbs.policy(**given)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("0s", 0)],
)
def test_ages_have_units(text: str, seconds: int) -> None:
    assert verbs.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "1w", "-1d", "1.5h", "1 d", "1dd", "٣d", "9" * 5000])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not an age"):
        verbs.seconds(text)


def test_nics_of_a_launch_are_numbered_and_share_the_policy_they_do_not_say() -> None:
    assert verbs.wishes("vm1", ["", "vhost=off,queues=2"], Policy.REQUIRE) == [
        Wish("vm1", 0, vhost=Policy.REQUIRE),
        Wish("vm1", 1, queues=2, vhost=Policy.OFF),
    ]


def test_the_time_to_confirm_that_help_names_is_the_services() -> None:
    assert uplinkcli.CONFIRM_SECONDS == uplinks.CONFIRM_SECONDS
    assert "(60)" in shown("bridge", "add-uplink", "--help")


def test_help_and_completion_load_no_values_of_commands_that_do_not_run() -> None:
    """Each such module costs what a few hundred lines cost to read and make classes of."""
    says = (
        "import sys; from vmnet.entry import cli\n"
        "print(*(n for n in sys.modules if n.startswith('vmnet.') or n == 'pyroute2'))"
    )
    loaded = set(checked([sys.executable, "-c", says]).out.split())
    others = {name for name in loaded if not name.startswith("vmnet.entry")}
    assert others == {"vmnet.errors"}
