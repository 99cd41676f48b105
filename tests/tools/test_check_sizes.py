"""The size check finds what is too long and keeps its exceptions fresh."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_sizes
from check_sizes import Item, measure, percentile_90, stale, too_long


def test_a_module_is_counted_in_physical_lines(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""Text."""\n\nx = 1\n')

    modules, functions = measure([module], tmp_path)

    assert modules == [Item("module.py", 3)]
    assert functions == []


def test_functions_are_named_by_class_and_counted_without_decorators(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        "class Dish:\n"
        "    @property\n"
        "    def azimuth(self):\n"
        "        return 1\n"
        "\n"
        "async def track():\n"
        "    def step():\n"
        "        pass\n"
        "    if step:\n"
        "        def again():\n"
        "            pass\n"
    )

    _, functions = measure([module], tmp_path)

    assert functions == [
        Item("module.py:Dish.azimuth", 2),
        Item("module.py:track", 6),
        Item("module.py:track.step", 2),
        Item("module.py:track.again", 2),
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], 0), ([7], 7), (list(range(1, 11)), 9), (list(range(1, 101)), 90)],
    ids=["none", "one", "ten", "hundred"],
)
def test_percentile_is_what_nine_tenths_do_not_exceed(values: list[int], expected: int) -> None:
    assert percentile_90(values) == expected


def test_only_what_is_beyond_the_limit_is_reported() -> None:
    items = [Item("long.py", 401), Item("full.py", 400)]

    assert too_long(items, 400, {}) == [
        "long.py has 401 lines; at most 400 (split it, or name it in EXCEPTIONS)"
    ]


def test_a_named_exception_may_be_long_and_only_while_it_is() -> None:
    exceptions = {"long.py": "a table", "short.py": "was a table"}
    items = [Item("long.py", 401), Item("short.py", 12)]

    assert too_long(items, 400, exceptions) == []
    assert stale(items, 400, exceptions) == [
        "short.py is within 400 lines now; take it out of EXCEPTIONS"
    ]


def test_the_check_fails_and_says_why_when_tests_are_too_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "queueconnector_core"
    (package / "src").mkdir(parents=True)
    (package / "src" / "module.py").write_text("def one() -> int:\n    return 1\n")
    monkeypatch.setattr(check_sizes, "ROOT", tmp_path)
    monkeypatch.setattr(check_sizes, "members", lambda: [package])
    monkeypatch.setattr(check_sizes, "products", lambda: [package])

    assert check_sizes.main() == 1
    assert "tests have 0 lines, the source 2" in capsys.readouterr().out

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_module.py").write_text("assert 1\nassert 2\n")
    assert check_sizes.main() == 0
    assert "ratio 1.00" in capsys.readouterr().out
