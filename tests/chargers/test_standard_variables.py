"""The facts about variables that OCPP 2.0.1 standardises."""

import csv

import pytest

from chargers import standard_variables
from core.ocpp.versions import OCPP201


def rows():
    with standard_variables.TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_variable_has_one_row_with_a_known_type():
    report = OCPP201.schemas.requests["NotifyReport"].resolved["properties"]["reportData"]["items"]
    types = report["properties"]["variableCharacteristics"]["properties"]["dataType"]["enum"]
    names = [(row["component"], row["variable"], row["instance"]) for row in rows()]
    assert len(names) == len(set(names)) > 240
    assert {row["data_type"] for row in rows()} <= set(types)
    assert all(
        row["data_type"] in ("OptionList", "MemberList", "SequenceList") for row in rows() if row["values_list"]
    )


def test_descriptions_are_short_and_those_of_common_variables_are_there():
    described = [row["description"] for row in rows() if row["description"]]
    assert len(described) > 80
    assert all(len(text) <= 100 and text.endswith(".") for text in described)


@pytest.mark.parametrize(
    ("component", "variable", "instance", "expected"),
    [
        ("OCPPCommCtrlr", "HeartbeatInterval", "", ("OCPPCommCtrlr", "")),
        ("deviceDATActrlr", "itemsPERmessage", "GETreport", ("DeviceDataCtrlr", "GetReport")),
        ("OCPPCommCtrlr", "OfflineThreshold", "odd", ("OCPPCommCtrlr", "")),
        ("CustomizationCtrlr", "CustomImplementationEnabled", "org.example", ("CustomizationCtrlr", "")),
        ("Fan", "FanSpeed", "", ("", "")),
        ("Fan", "Nonsense", "", None),
        ("", "FanSpeed", "", None),
    ],
)
def test_a_variable_is_found_by_its_most_exact_row(component, variable, instance, expected):
    found = standard_variables.find(component, variable, instance)
    assert (found and (found.component, found.instance)) == expected
