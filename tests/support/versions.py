"""The OCPP versions: tests of each, and the members of its messages."""

import pytest

from core.ocpp.versions import BY_SUBPROTOCOL

versions = pytest.mark.parametrize("version", BY_SUBPROTOCOL.values(), ids=str)


def paths(tree, path=""):
    """Yield the path of each member of a resolved schema."""
    for name, branch in tree.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner
        yield from paths(branch, inner)
    if "items" in tree:
        yield from paths(tree["items"], path)
