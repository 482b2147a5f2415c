"""The facts of each OCPP version are about messages and members that its schemas have."""

import ast

import pytest

from core.ocpp.versions import OCPP16, OCPP201, negotiate
from core.ocpp.versions.base import ALWAYS, NAMED
from gateway import protocols
from tests.support.builders import a_charger, open_socket
from tests.support.versions import paths, versions
from tools.stack.stack import PROJECT

SETS_OF_ACTIONS = (
    *("idempotent", "recorded", "before_acceptance", "not_while_pending"),
    *("starts_and_stops", "about_transactions", "answered_by_vendors"),
)


def all_paths(version):
    """{name of a message: set of the paths of its members}."""
    return {name: set(paths(schema.resolved)) for name, schema in version.schemas.by_name.items()}


def test_the_gateway_names_actions_only_with_their_version():
    actions = set().union(*(version.schemas.actions for version in protocols.HANDLERS))
    found = {
        f"{path.name}:{node.lineno}: {node.value}"
        for path in (PROJECT / "gateway").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in actions
    }
    assert not found, f"Make these facts of Version, or handlers of a version: {sorted(found)}"


@versions
def test_every_schema_is_read_and_compiled(version):
    assert len(version.schemas.by_name) == 2 * len(version.schemas.actions) >= 78
    assert {schema.is_valid([]) for schema in version.schemas.by_name.values()} == {False}


@versions
@pytest.mark.parametrize("name", SETS_OF_ACTIONS)
def test_every_action_has_a_schema(version, name):
    assert getattr(version, name) <= version.schemas.actions


@versions
def test_every_secret_is_a_member_of_its_message(version):
    known = all_paths(version)
    declared = [(message, path) for message, members in version.secrets.items() for path in members]
    assert [secret for secret in declared if secret[1] not in known[secret[0]]] == []
    assert {kind for members in version.secrets.values() for kind in members.values()} <= {ALWAYS, NAMED}


@versions
def test_every_plain_text_is_a_member_of_a_message(version):
    known = {f".{path}" for members in all_paths(version).values() for path in members}
    assert [end for end in version.plain if not any(path.endswith(f".{end}") for path in known)] == []


@versions
def test_the_error_codes_of_the_frames_and_of_the_schemas_are_of_one_version(version):
    spellings = {"Formation": "ocpp1.6", "Format": "ocpp2.0.1"}
    codes = [version.frame_codes.payload, version.error_codes["additionalProperties"]]
    assert {spellings[code.removesuffix("Violation")] for code in codes} == {version.subprotocol}


@pytest.mark.parametrize(
    "offered, version",
    [
        (["ocpp1.6"], OCPP16),
        (["ocpp1.5", "ocpp1.6"], OCPP16),
        (["ocpp2.0.1", "ocpp1.6"], OCPP201),
        (["ocpp1.6", "ocpp2.0.1"], OCPP16),
        (["ocpp1.5"], None),
        ([], None),
    ],
)
def test_the_first_spoken_subprotocol_is_negotiated(offered, version):
    assert negotiate(offered) is version


@pytest.mark.django_db
def test_an_open_socket_stores_the_version_of_its_charger():
    charger = a_charger()
    open_socket(charger)
    charger.refresh_from_db()
    assert charger.version is OCPP16 and charger.ocpp_version == "ocpp1.6"
