"""Write the public names of core, with their signatures, into the documentation.

The page stands in the repository, so that a change of it is seen when it is reviewed; CI fails
where it is not what the code says. Run it by `make reference`.
"""

from __future__ import annotations

from collections.abc import Iterator

import griffe

from workspace import ROOT

PACKAGE = "queueconnector_core"
SOURCES = f"{PACKAGE}/src"
PAGE = ROOT / "docs" / "reference" / "api.md"
INNER = ("cli", "recording", "spans", "tracing", "web")
"""Packages of it that are for people, not for plugins."""

HEAD = """\
# Public names of core

What a plugin may use, and what the [promises about releases](releases.md) are about: the names in
the `__all__` of the modules of `queueconnector_core` without a leading underscore. They are
explained where they are defined.
"""


def page_text() -> str:
    """The text of the page."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT / SOURCES)])
    if not isinstance(package, griffe.Module):
        raise TypeError(f"{PACKAGE} is not a package")
    blocks = filter(None, map(_block, _modules(package)))
    return "\n".join([HEAD, *blocks])


def _block(module: griffe.Module) -> str:
    """The section of one module; empty when it has no public names."""
    lines = [line for name in module.exports or () for line in _lines(module[str(name)])]
    return f"## {module.path}\n\n```python\n" + "\n".join(lines) + "\n```\n" if lines else ""


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    """The public modules, depth first, by name."""
    yield module
    for name, member in sorted(module.modules.items()):
        if name.startswith("_") or name in INNER:
            continue
        if isinstance(member, griffe.Module):
            yield from _modules(member)


def _lines(item: griffe.Object | griffe.Alias) -> Iterator[str]:
    if item.is_alias:
        yield f"from {item.target_path.rpartition('.')[0]} import {item.name}"  # type: ignore[union-attr]
    elif isinstance(item, griffe.Class):
        yield from _class_lines(item)
    elif isinstance(item, griffe.Function):
        yield _signature(item)
    elif isinstance(item, griffe.Attribute):
        yield _attribute(item)


def _class_lines(item: griffe.Class) -> Iterator[str]:
    bases = ", ".join(map(str, item.bases))
    yield f"class {item.name}({bases}):" if bases else f"class {item.name}:"
    for name, member in item.members.items():
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, griffe.Function):
            yield f"    {_signature(member)}"
        elif isinstance(member, griffe.Attribute) and "property" in member.labels:
            yield f"    {name}: {member.annotation}  # property"
        elif isinstance(member, griffe.Attribute):
            yield f"    {_attribute(member)}"


def _signature(item: griffe.Function) -> str:
    word = "async def" if "async" in item.labels else "def"
    return f"{word} {item.name}({_parameters(item.parameters)}) -> {item.returns}"


def _parameters(parameters: griffe.Parameters) -> str:
    parts: list[str] = []
    marked = False
    for parameter in parameters:
        if parameter.kind is griffe.ParameterKind.var_positional:
            marked = True
        elif parameter.kind is griffe.ParameterKind.keyword_only and not marked:
            parts.append("*")
            marked = True
        stars = {
            griffe.ParameterKind.var_positional: "*",
            griffe.ParameterKind.var_keyword: "**",
        }.get(parameter.kind or griffe.ParameterKind.positional_or_keyword, "")
        annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
        default = "" if parameter.default is None or stars else f" = {parameter.default}"
        parts.append(f"{stars}{parameter.name}{annotation}{default}")
    return ", ".join(parts)


def _attribute(item: griffe.Attribute) -> str:
    """Name and type; of what is annotated with its description, the type alone."""
    annotation = item.annotation
    if isinstance(annotation, griffe.ExprSubscript) and str(annotation.left) == "Annotated":
        inner = annotation.slice
        annotation = inner.elements[0] if isinstance(inner, griffe.ExprTuple) else inner
    return item.name if annotation is None else f"{item.name}: {annotation}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
