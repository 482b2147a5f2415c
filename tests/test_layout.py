"""Modules of tests stand alone, and packages do not list the names of their modules again."""

import ast

from tools.stack.stack import PROJECT

TESTS = PROJECT / "tests"


def imported(path):
    """Return the absolute names of the modules that a file imports, wherever in the file it imports them."""
    package = path.relative_to(PROJECT).with_suffix("").parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            outer = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*outer, *filter(None, [node.module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def is_of_a_test(name):
    return name.split(".")[0] == "tests" and not name.startswith("tests.support")


def test_no_module_imports_a_test_module():
    found = {
        f"{path.relative_to(PROJECT)} imports {name}"
        for path in TESTS.rglob("*.py")
        for name in imported(path)
        if is_of_a_test(name)
    }
    assert not found, f"Move these to a module of tests/support: {sorted(found)}"


def test_packages_of_an_app_import_no_names_from_their_modules():
    """Django requires this of `models` alone."""
    packages = [path for part in ("admin", "api", "services") for path in PROJECT.glob(f"*/{part}/**/__init__.py")]
    found = {
        f"{path.relative_to(PROJECT)} imports from {node.module}"
        for path in packages
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(f"{'.'.join(path.relative_to(PROJECT).parts[:-1])}.")
    }
    assert len(packages) > 10
    assert not found, f"Import these names from the modules that define them: {sorted(found)}"


def test_the_services_that_depend_on_a_version_are_those_of_the_page():
    section = (PROJECT / "docs/architecture.md").read_text().partition("## The version seam")[2].partition("\n## ")[0]
    versions = ("core.ocpp.versions.", "commands.actions.ocpp16")
    neutral = {
        f"core.ocpp.versions.{name}"
        for name in ("BY_SUBPROTOCOL", "UNREADABLE", "Version", "may_be_secret", "negotiate")
    }
    found = {
        str(path.relative_to(PROJECT))
        for path in PROJECT.glob("*/services/*.py")
        if any(name.startswith(versions) and name not in neutral for name in imported(path))
    }
    assert found
    assert [path for path in sorted(found) if f"`{path}`" not in section] == []
