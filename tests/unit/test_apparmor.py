"""Which programs an AppArmor profile lets run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.formats.apparmor import matches, may_run, rules

PROFILE = """
#include <tunables/global>
@{LIBVIRT}="libvirt"
@{BIN}=/usr/bin /bin

profile daemon /usr/sbin/daemon flags=(attach_disconnected, complain) {
  #include <abstractions/base>
  include if exists <local/more>
  capability net_admin,
  signal (send) set=("kill", "term") peer=unconfined,
  /** rwmkl,   # all but run
  @{BIN}/* PUx,
  /{usr/,}lib/@{LIBVIRT}/* PUxr,
  /usr/{lib,lib{32,64}}/x-*/bin/[a-c]y? Ux,
  audit deny /usr/bin/never x,
  /etc/daemon/hooks/** rmix,
  "/opt/with space/bin/*" PUx,
  /only/with/a/profile Px,
  owner /owned/** pix,
  file /spelled rix,
  rix /turned/*,
  /handed/* Cx -> helper, /second/* cix -> helper,
  @{UNKNOWN}/* PUx,
  change_profile -> @{LIBVIRT}-[0-9a-f]*,
  profile helper {
    /helpers/own ix,
  }
  ^hat { /hats/own ix, }
  /after/* ux,
}
/from/local PUx,
"""


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3.11",
        "/bin/sh",
        "/usr/lib/libvirt/helper",
        "/lib/libvirt/helper",
        "/usr/lib/x-1/bin/ayz",
        "/usr/lib64/x-/bin/cy1",
        "/etc/daemon/hooks/qemu.d/50-vmnet",
        "/opt/with space/bin/python3",
        "/owned/deep/down",
        "/spelled",
        "/turned/round",
        "/second/one",
        "/after/all",
        "/from/local",
    ],
)
def test_what_a_rule_lets_run(path: str) -> None:
    assert may_run(PROFILE, path)


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/never",
        "/usr/bin/deep/python3",
        "/usr/bin/",
        "/usr/local/bin/python3.11",
        "/opt/with/bin/python3",
        "/usr/lib/libvirt/deep/helper",
        "/usr/lib16/x-1/bin/ayz",
        "/usr/lib/x-1/bin/dyz",
        "/usr/lib/x-1/bin/ay/",
        "/etc/daemon/hooks/",
        "/only/with/a/profile",
        "/handed/over",
        "/helpers/own",
        "/hats/own",
        "/srv/venv/bin/python",
        "",
    ],
)
def test_what_no_rule_lets_run(path: str) -> None:
    assert not may_run(PROFILE, path)


@pytest.mark.parametrize("all_files", ["file", "all", "allow file"])
def test_a_rule_for_everything(all_files: str) -> None:
    assert may_run(f"profile p /p {{\n  {all_files},\n}}", "/srv/venv/bin/python")
    assert not may_run(f"profile p /p {{\n  deny {all_files},\n}}", "/srv/venv/bin/python")


def test_variables_may_lead_to_variables_but_not_in_a_circle() -> None:
    text = "@{A}=/a @{B}\n@{B}=/b\n@{C}=@{C}\nprofile p {\n  @{A}/x ix,\n  @{C}/x ix,\n}\n"
    assert may_run(text, "/a/x")
    assert may_run(text, "/b/x")
    assert not may_run(text, "/c/x")


def test_rules_keep_what_they_say() -> None:
    found = {rule.path: (rule.deny, rule.perms) for rule in rules(PROFILE)}
    assert found["/usr/bin/never"] == (True, "x")
    assert found["/**"] == (False, "rwmkl")
    assert found["/opt/with space/bin/*"] == (False, "PUx")
    assert "/helpers/own" not in found


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_is_a_profile_of_some_kind(text: str, path: str) -> None:
    assert may_run(text, path) in (True, False)
    assert matches(text, path) in (True, False)


@given(st.text(alphabet="abcxyz09_.-/ ", max_size=30))
def test_a_pattern_without_signs_is_for_itself_alone(path: str) -> None:
    assert matches(path, path)
    assert not matches(path, path + "x")
