"""The Python API: what `vmnet` exports is there, documented and typed."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import vmnet
from tests.unit.source import modules
from vmnet import service


@pytest.mark.parametrize("name", vmnet.__all__)
def test_every_exported_name_is_there_with_a_docstring(name: str) -> None:
    thing = getattr(vmnet, name)
    assert thing.__name__ == name
    assert inspect.getdoc(thing)


@pytest.mark.parametrize(
    "name", [name for name in vmnet.__all__ if inspect.isfunction(getattr(vmnet, name))]
)
def test_every_exported_call_is_typed(name: str) -> None:
    signature = inspect.signature(getattr(vmnet, name))
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty


def test_exports_are_in_order() -> None:
    assert sorted(vmnet.__all__) == list(vmnet.__all__)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'vmnet' has no attribute 'fly'"):
        _ = vmnet.fly


@pytest.mark.parametrize("package", [vmnet, service])
def test_no_name_that_is_loaded_late_is_a_modules(package: ModuleType) -> None:
    # Once loaded, the module would be found in its place.
    below = (name.rpartition(".") for name in modules())
    assert not {name for room, _, name in below if room == package.__name__} & set(package.__all__)
    with pytest.raises(AttributeError):
        package.__getattr__("fly")
