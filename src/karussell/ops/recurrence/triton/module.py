"""Printed kernels as modules: written once into the cache folder, imported from there, kept by program and plan."""

import hashlib
import importlib.util
import sys
import threading
from typing import Any, NamedTuple

from karussell.errors import EngineError
from karussell.files import home, write_atomic
from karussell.ops.recurrence.triton.backward import backward
from karussell.ops.recurrence.triton.forward import forward
from karussell.ops.recurrence.triton.plan import Plan
from karussell.program import Program
from karussell.program.emit_triton import FUNCTIONS

_lock = threading.Lock()
_loaded: dict[tuple[str, Plan, bool], "dict[str, Loaded]"] = {}
_HEAD = '''"""Printed from the program {digest} of {name}."""

import triton
import triton.language as tl

from karussell.ops.recurrence.triton.functions import (
    {names},
)

'''


class Loaded(NamedTuple):
    """A kernel that can be launched, and the names of its tensor and number arguments."""

    function: Any
    arguments: tuple[str, ...]


def source(p: Program, plan: Plan, back: bool) -> str:
    """The text of a module with the kernels of one direction of time."""
    names = sorted([*(f"{n}_" for n in FUNCTIONS), "barrier", "below", "narrow", "product"])
    head = _HEAD.format(digest=p.digest, name=p.name, names=",\n    ".join(names))
    return head + "\n\n".join(k.text for k in (backward if back else forward)(p, plan))


def load(p: Program, plan: Plan, back: bool) -> dict[str, Loaded]:
    """The kernels by name."""
    key = (p.digest, plan, back)
    found = _loaded.get(key)
    if found is None:
        with _lock:
            found = _loaded.get(key) or _load(p, plan, back)
            _loaded[key] = found
    return found


def _load(p: Program, plan: Plan, back: bool) -> dict[str, Loaded]:
    # another file for every text; Triton reads it again when it compiles
    text = source(p, plan, back)
    name = f"karussell_triton_{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    path = home() / "triton" / f"{name}.py"
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
    except OSError as error:
        raise EngineError(
            f"engine 'triton' cannot write its kernels to {path.parent} ({error.strerror}); set KARUSSELL_HOME to a "
            "folder that can be written"
        ) from error
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    printed = (backward if back else forward)(p, plan)
    return {k.name: Loaded(getattr(module, k.name), k.arguments) for k in printed}
