"""Dataclasses as groups of options: one option a field, its help the line under the field."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser


def add_fields(
    parser: ArgumentParser,
    prefix: str,
    title: str,
    kind: type,
    *,
    short: Mapping[str, str],
    open_fields: Mapping[str, str],
) -> None:
    """Add `--prefix.field` for every field of a dataclass, in a group.

    `short` gives some a second name. `open_fields` have no default here, but
    these words for what they become.
    """
    group = parser.add_argument_group(title)
    hints, helps = get_type_hints(kind), field_help(kind)
    for item in dataclasses.fields(kind):
        if not item.init:
            continue
        names = [f"--{prefix}.{item.name}"]
        if item.name in short:
            names.append(short[item.name])
        help_line = helps.get(item.name, "").rstrip(".").replace("%", "%%")
        kind_of, default = hints[item.name], default_of(item)
        if item.name in open_fields:
            kind_of, default, help_line = kind_of | None, None, f"{help_line}; if not given, {open_fields[item.name]}"
        group.add_argument(*names, type=kind_of, default=default, help=help_line)


def field_help(kind: type) -> dict[str, str]:
    """The text under each field of a dataclass, by the field's name."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = str(below.value.value)
    return found


def default_of(item: "dataclasses.Field[Any]") -> Any:
    """The default of a field, made if it is a factory."""
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default
