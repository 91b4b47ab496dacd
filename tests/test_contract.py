"""Every backend, and the reference, keeps to the contract: the same names in the same rooms."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import reference
from minisca.backends import CHOICES, get_backend, interface
from minisca.backends.interface import (
    OPERATIONS,
    ROOMS,
    SUPPORT,
    SUPPORT_ROOMS,
    Backend,
    Support,
)
from tests.support.cases import CALLS


def parameters(function):
    """Names and defaults of a function's parameters, in order."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


def public_functions(module):
    """Names of the functions that a module defines itself, without those that start with "_"."""
    return {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(inspect.unwrap(value)) and not name.startswith("_")
        if value.__module__ == module.__name__
    }


CELLS = {
    room: ROOMS.get(room, ()) + SUPPORT_ROOMS.get(room, ()) for room in {**ROOMS, **SUPPORT_ROOMS}
}
#: Every column of the table, whether or not it runs on this machine.
COLUMNS = sorted(set(CHOICES) - {"auto"})


def test_every_function_lives_in_its_room_and_has_the_parameters_of_the_contract(operations):
    for room, names in (ROOMS if operations is reference else CELLS).items():
        module = importlib.import_module(f"{operations.__name__}.{room}")
        for name in names:
            function = getattr(module, name)
            declared = Backend if name in OPERATIONS else Support
            assert inspect.unwrap(getattr(operations, name)) is inspect.unwrap(function)
            assert function.__module__ == module.__name__
            assert parameters(function) == parameters(getattr(declared, name))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_has_one_file_for_every_room_and_all_else_in_folders(column):
    folder = Path(interface.__file__).with_name(column)
    assert {file.stem for file in folder.glob("*.*")} == {*CELLS, "__init__"}


@pytest.mark.parametrize("room", CELLS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_has_the_operations_of_its_row_and_no_other_public_function(column, room):
    module = pytest.importorskip(f"minisca.backends.{column}.{room}", exc_type=ImportError)
    assert public_functions(module) == set(CELLS[room])


@pytest.mark.parametrize("column", COLUMNS)
def test_nothing_but_the_contract_is_public(column):
    module = pytest.importorskip(f"minisca.backends.{column}", exc_type=ImportError)
    found = {name for name, value in vars(module).items() if inspect.isfunction(value)}
    assert found - {"is_available", "require"} == {*OPERATIONS, *SUPPORT}
    assert sorted(reference.__all__) == sorted(OPERATIONS)


def imported(file):
    """The modules that a file imports, `from a import b` as a.b, and those it names in strings."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


@pytest.mark.parametrize("folder", ["minisca", "scripts", "reference"])
def test_nothing_outside_of_the_backends_imports_one_by_path(folder):
    """`get_backend`, `cpu_runtime` and `cupy_on` of `minisca.backends` are the doors."""
    backends = Path(interface.__file__).parent
    for file in (backends.parents[1] / folder).rglob("*.py"):
        if backends not in file.parents and file.name != "products.py":  # it emits vectors itself
            for module in imported(file):
                path = str(module).split(".")
                assert path[:2] != ["minisca", "backends"] or path[2] not in COLUMNS, file


def test_the_page_about_the_backends_names_every_operation():
    page = Path(interface.__file__).with_name("README.md").read_text("utf-8")
    for name in (*OPERATIONS, *SUPPORT):
        assert f"`{name}`" in page


@pytest.mark.parametrize(("contract", "names"), [(Backend, OPERATIONS), (Support, SUPPORT)])
def test_the_contract_lists_what_it_declares(contract, names):
    assert [name for name in vars(contract) if not name.startswith("_")] == list(names)


def test_the_tests_call_every_operation():
    assert {name.split(",")[0] for name in CALLS} == set(OPERATIONS)


def test_an_unknown_backend_is_refused_by_naming_the_known_ones():
    with pytest.raises(ValueError, match="nonsense") as refusal:
        get_backend("nonsense")
    for name in CHOICES:
        assert repr(name) in str(refusal.value)


def test_the_reference_imports_nothing_of_the_package():
    for file in Path(reference.__file__).parent.glob("*.py"):
        assert "import minisca" not in file.read_text()
        assert "from minisca" not in file.read_text()


def test_the_papers_figures_are_on_record_for_every_experiment():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    paper = tomllib.loads((Path(reference.__file__).parent / "paper.toml").read_text())
    experiments = {name: row["value"] for name, row in paper["experiments"].items()}
    assert experiments == {
        "mnist-16": 1.15,
        "mnist-128": 0.64,
        "mnist-deep": 0.48,
        "cifar-512": 72.7,
        "cifar-deep": 78.1,
        "norb-128": 6.6,
        "norb-deep": 4.7,
    }
    for row in [*paper["experiments"].values(), *paper["compared"].values()]:
        assert row["metric"] in ("test error %", "test accuracy %")
    for row in paper["experiments"].values():
        assert row["features"][-3] == row["layers"][-1]["maps"]
