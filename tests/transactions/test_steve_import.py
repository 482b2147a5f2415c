"""The import of a SteVe database from a dump of mysqldump, hostile texts included."""

import gzip
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from chargers.models import Charger
from tests.support.builders import NOON, a_charger, a_tag, a_transaction, tell
from transactions.models import IdTag, Transaction
from transactions.services.dump import Dump, Unreadable

HEAD = """/*!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET TIME_ZONE='+00:00' */;
"""
SCHEMA = {
    "charge_box": "charge_box_pk charge_box_id endpoint_address ocpp_protocol registration_status "
    "charge_point_vendor charge_point_model charge_point_serial_number charge_box_serial_number fw_version "
    "fw_update_status fw_update_timestamp iccid imsi meter_type meter_serial_number diagnostics_status "
    "diagnostics_timestamp last_heartbeat_timestamp description note location_latitude location_longitude "
    "address_pk admin_address insert_connector_status_after_transaction_msg security_profile auth_password",
    "connector": "connector_pk charge_box_id connector_id",
    "connector_meter_value": "connector_pk transaction_pk value_timestamp value reading_context format measurand "
    "location unit phase",
    "ocpp_tag": "ocpp_tag_pk id_tag parent_id_tag expiry_date max_active_transaction_count note",
    "transaction_start": "transaction_pk event_timestamp connector_pk id_tag start_timestamp start_value",
    "transaction_stop": "transaction_pk event_timestamp event_actor stop_timestamp stop_value stop_reason",
}
BOX = "NULL,'ocpp1.6J','{}','Acme','Box 1','S-1',NULL,'1.0'" + ",NULL" * 9 + ",{},NULL,NULL,NULL"
BOX = f"{BOX},NULL,NULL,1,{{}},{{}}"
ROWS = {
    "charge_box": [
        "1,'CP1'," + BOX.format("Accepted", r"'it\'s \"A\\B\"\nline; (two), ''x'' 🔌'", 2, "'$2a$10$secrethash'"),
        "2,'CP/2 ü'," + BOX.format("Pending", "NULL", 0, "NULL"),
        "3,'CP3'," + BOX.format("Perhaps", "NULL", 0, "NULL"),
    ],
    "connector": ["10,'CP1',1", "20,'cp/2 Ü',2", "30,'CP3',1"],
    "connector_meter_value": [
        r"10,700,'2024-05-01 10:30:00.000000','\'\nINSERT INTO `ocpp_tag` VALUES (9,',NULL,NULL,"
        "NULL,NULL,NULL,NULL"
    ],
    "ocpp_tag": [
        "1,'ABC',NULL,NULL,1,NULL",
        "2,'BLOCKED','ABC','2030-01-01 00:00:00.000000',0,_binary 'note'",
        "3,'ANY',NULL,NULL,-1,0x6E6F7465",
        f"4,'{'T' * 256}',NULL,NULL,1,NULL",
        r"5,'NU\0L',NULL,NULL,1,NULL",
    ],
    "transaction_start": [
        "700,'2024-05-01 10:00:01.000000',10,'ABC','2024-05-01 10:00:00.000000','1000'",
        "701,'2024-05-01 11:00:01.000000',20,'ABC','2024-05-01 11:00:00.000000','5'",
        "702,'2024-05-01 12:00:01.000000',30,'ABC','2024-05-01 12:00:00.000000','5'",
        "703,'2024-05-01 13:00:01.000000',10,'ABC','0000-00-00 00:00:00.000000','5'",
    ],
    "transaction_stop": [
        "700,'2024-05-01 10:50:00.000000','manual','2024-05-01 10:49:00.000000','1500',NULL",
        "700,'2024-05-01 11:00:01.000000','station','2024-05-01 11:00:00.000000','2000','EVDisconnected'",
        "702,'2024-05-01 12:30:01.000000','station','2024-05-01 12:30:00.000000','9',NULL",
    ],
}


END = "-- Dump completed on 2024-06-01 12:00:00\n"


def a_dump(rows=ROWS, head=HEAD, between=",", end=END):
    return head + "".join(_table(table, rows[table], between) for table in SCHEMA if table in rows) + end


def _table(table, rows, between):
    columns = "".join(f"  `{name}` varchar(255) DEFAULT NULL,\n" for name in SCHEMA[table].split())
    create = (
        f"DROP TABLE IF EXISTS `{table}`;\nCREATE TABLE `{table}` (\n{columns}  PRIMARY KEY (`x`)\n) ENGINE=InnoDB;\n"
    )
    inserted = between.join(f"({row})" for row in rows)
    return f"{create}LOCK TABLES `{table}` WRITE;\nINSERT INTO `{table}` VALUES {inserted};\nUNLOCK TABLES;\n"


@pytest.fixture
def imported(tmp_path, db):
    """Return a function that imports a dump and returns (its output, its warnings)."""

    def run(text, *options, name="steve.sql"):
        path, said, complained = tmp_path / name, StringIO(), StringIO()
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        call_command("import_steve", str(path), *options, stdout=said, stderr=complained)
        return said.getvalue(), complained.getvalue()

    return run


def records():
    return [list(model.objects.order_by("pk").values()) for model in (Charger, IdTag, Transaction)]


@pytest.mark.parametrize("between", [",", ",\n"])
def test_chargers_are_imported_with_their_boot_data(imported, between):
    imported(a_dump(between=between))
    one, two = Charger.objects.order_by("pk")
    assert (one.identity, one.vendor, one.boot_policy, one.security_profile) == ("CP1", "Acme", "Accepted", 2)
    assert one.description == "it's \"A\\B\"\nline; (two), 'x' 🔌"
    assert (two.identity, two.boot_policy, two.security_profile) == ("CP/2 ü", "Pending", None)


def test_a_key_is_neither_imported_nor_shown(imported):
    _, complained = imported(a_dump())
    assert "'CP1' needs a new key" in complained
    assert "secrethash" not in complained
    assert Charger.objects.get(identity="CP1").authorization_key_hash == ""


def test_tags_are_imported_with_parent_expiry_and_limit(imported):
    imported(a_dump())
    listed = {tag.id_tag: (tag.status, tag.concurrent_limit, tag.parent_id_tag) for tag in IdTag.objects.all()}
    assert listed == {"ABC": ("Accepted", 1, ""), "BLOCKED": ("Blocked", None, "ABC"), "ANY": ("Accepted", None, "")}
    assert set(IdTag.objects.exclude(id_tag="ABC").values_list("description", flat=True)) == {"note"}


def test_a_transaction_has_the_last_stop_of_its_charger(imported):
    imported(a_dump())
    stopped = Transaction.objects.get(pk=700)
    assert stopped.start_time == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert (stopped.meter_stop, stopped.stop_reason, stopped.energy_wh) == (2000, "EVDisconnected", 1000)
    assert stopped.stop_time == datetime(2024, 5, 1, 11, tzinfo=UTC)


def test_an_ongoing_transaction_is_stopped_after_the_import(imported):
    imported(a_dump())
    charger = Charger.objects.get(identity="CP/2 ü")
    Charger.objects.update(boot_policy="Accepted", registration_status="Accepted")
    charger.refresh_from_db()
    tell(charger, "StopTransaction", transactionId=701, meterStop=900, timestamp=NOON)
    assert Transaction.objects.get(pk=701).status == "Completed"


def test_an_unstopped_transaction_is_superseded_by_the_next(imported):
    later = "704,'2024-05-01 14:00:01.000000',20,'ABC','2024-05-01 14:00:00.000000','9'"
    stop = "704,'2024-05-01 15:00:01.000000','station','2024-05-01 15:00:00.000000','99',NULL"
    starts, stops = [*ROWS["transaction_start"], later], [*ROWS["transaction_stop"], stop]
    imported(a_dump(ROWS | {"transaction_start": starts, "transaction_stop": stops}))
    former = Transaction.objects.get(pk=701)
    assert former.superseded_by_id == 704
    assert not former.is_under_way


def test_an_invalid_row_is_reported_with_its_line_and_left_out(imported):
    said, complained = imported(a_dump())
    for why in ("'Perhaps'", "at most 255 characters", "bytes that are no text", "'CP3' was left out", "not a time"):
        assert why in complained
    assert "charge_box: 1 left out" in said
    assert "ocpp_tag: 2 left out" in said
    assert set(Transaction.objects.values_list("pk", flat=True)) == {700, 701}


def test_a_second_run_adds_nothing(imported):
    imported(a_dump())
    before = records()
    said, _ = imported(a_dump(), name="again.sql.gz")
    assert records() == before
    assert "transaction_start: 2 known already" in said
    assert "transaction_start: 0 added" in said


def test_a_dry_run_changes_nothing(imported):
    said, _ = imported(a_dump(), "--dry-run")
    assert "charge_box: 2 added" in said
    assert records() == [[], [], []]


def test_a_dry_run_does_not_change_the_id_sequence(imported):
    before = a_transaction(a_charger("OURS")).pk
    start = "{},'2024-05-01 10:00:01.000000',10,'ABC','2024-05-01 10:00:00.000000','1000'"
    rows = ROWS | {"transaction_start": [start.format(before), start.format(2**31 - 1)], "transaction_stop": []}
    said, complained = imported(a_dump(rows), "--dry-run")
    assert "gets another id here, since that id is taken" in complained
    assert a_transaction(a_charger("OTHER")).pk < before + 1000  # they are drawn in blocks


def test_an_id_near_the_maximum_is_not_imported(imported):
    start = f"{2**31 - 1},'2024-05-01 10:00:01.000000',10,'ABC','2024-05-01 10:00:00.000000','1000'"
    _, complained = imported(a_dump(ROWS | {"transaction_start": [start], "transaction_stop": []}))
    assert "since that id is too large" in complained
    assert Transaction.objects.get().pk < 2**30
    assert a_transaction(a_charger("OURS")).pk < 2**30


def test_omitted_rows_and_missing_tables_are_named(imported):
    rows = ROWS | {"transaction_stop": ["700,'2024-05-01 10:50:00','station','2024-05-01 10:49:00','much',NULL"]}
    del rows["ocpp_tag"]
    _, complained = imported(a_dump(rows))
    assert "transaction_stop '700': left out" in complained
    assert "700 stays without a stop" in complained
    assert "no table ocpp_tag" in complained


def test_a_dump_without_its_schema_names_its_columns_in_each_statement(imported):
    columns = ", ".join(f"`{name}`" for name in SCHEMA["ocpp_tag"].split())
    _, complained = imported(f"{HEAD}INSERT INTO `ocpp_tag` ({columns}) VALUES ({ROWS['ocpp_tag'][0]});\n{END}")
    assert IdTag.objects.get().id_tag == "ABC"
    assert "no table ocpp_tag" not in complained


def test_an_existing_id_is_not_overwritten(imported):
    ours = a_transaction(a_charger("OURS"))
    Transaction.objects.filter(pk=ours.pk).update(id=700)
    _, complained = imported(a_dump())
    assert "700 is " in complained
    assert Transaction.objects.get(pk=700).charger == ours.charger
    assert Transaction.objects.get(charger__identity="CP1").meter_stop == 2000


def test_a_substitute_id_is_not_one_of_the_dump(imported):
    ours = a_transaction(a_charger("OURS"))
    start = "{},'2024-05-01 10:00:01.000000',10,'ABC','2024-05-01 10:0{}:00.000000','1000'"
    starts = [start.format(ours.pk + n, n) for n in range(5)]
    imported(a_dump(ROWS | {"transaction_start": starts, "transaction_stop": []}))
    assert Transaction.objects.filter(charger__identity="CP1").count() == 5


def test_the_next_transaction_gets_an_unused_id(imported):
    imported(a_dump())
    a_tag("NEW")
    body = {"connectorId": 1, "idTag": "NEW", "meterStart": 1, "timestamp": NOON}
    assert tell(a_charger("OURS"), "StartTransaction", **body)["transactionId"] > 701


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (a_dump(head=""), "zone of its times"),
        *((a_dump()[:-160], "cut off"), (a_dump(end=""), "Dump completed")),
        ("-- nothing\n", "no rows of SteVe"),
        (HEAD + "INSERT INTO `ocpp_tag` VALUES (1);\n", "no CREATE TABLE"),
        (HEAD + "INSERT INTO `ocpp_tag` (`id_tag`) VALUES ('A');\n", "max_active_transaction_count"),
        (HEAD + "INSERT INTO `ocpp_tag` (`id_tag`) VALUES ('A','B');\n", "has 2 values, not 1"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(imported, text, why):
    with pytest.raises(CommandError, match=why):
        imported(text)
    assert records() == [[], [], []]


def test_a_truncated_file_is_refused(tmp_path, db):
    path = tmp_path / "cut.sql.gz"
    path.write_bytes(gzip.compress(a_dump().encode())[:-40])
    with pytest.raises(CommandError, match="can't be read"):
        call_command("import_steve", str(path))


def test_a_text_over_several_lines_is_one_value():
    lines = ["INSERT INTO `t` (`a`, `b`) VALUES ('x\n", "INSERT INTO `t` VALUES (','y;\n", "');\n"]
    assert [row for *_, row in Dump(lines, {"t"})] == [{"a": "x\nINSERT INTO `t` VALUES (", "b": "y;\n"}]
    assert list(Dump(lines, {"other"})) == []


def test_an_unterminated_statement_is_reported():
    with pytest.raises(Unreadable, match="cut off"):
        list(Dump(["INSERT INTO `t` (`a`) VALUES ('x\n"], {"t"}))
