"""What all tests share: uninitialised memory is NaN, and random problems for any cell."""

import os
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from random_problems import Problem, make_problem

if not torch.cuda.is_available():
    # kernels of CUDA devices are interpreted, which Triton must know before it is imported
    os.environ["TRITON_INTERPRET"] = "1"


# minutes in one test: begun last, they would leave the other processes idle
LONG = {"test_cpp_sanitized.py", "test_native_carried.py", "test_triton_engine.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that the library asks for and does not write is NaN, so that whoever reads it is found out."""

    def poisoned(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def empty(*args, **kwargs):
            value = make(*args, **kwargs)
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.split(".")[0] == "karussell" and value.is_floating_point() and not value.is_meta:
                with torch.no_grad():
                    value.fill_(float("nan"))
            return value

        return empty

    monkeypatch.setattr(torch, "empty", poisoned(torch.empty))
    monkeypatch.setattr(torch, "empty_like", poisoned(torch.empty_like))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned(torch.Tensor.new_empty))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers, alone or among others."""
    torch.manual_seed(0)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Make random problems."""
    return make_problem
