"""Rows that are inserted by a prepared statement are those that Django would insert."""

import pytest
from django.db import IntegrityError
from django.db.models.signals import post_save, pre_save

from commands.models import Command
from core.db.insertion import insert
from tests.support.builders import a_charger

pytestmark = pytest.mark.django_db


def a_new_command(charger, **columns):
    given = {"ocpp_version": "ocpp1.6", "action": "Reset", "payload": {"type": "Soft", "note": "ä"}, "timeout": 1.5}
    return Command(charger=charger, **given, **columns)


def stored(command):
    row = Command.objects.get(pk=command.pk)
    return {field.attname: getattr(row, field.attname) for field in Command._meta.concrete_fields}


def test_an_inserted_row_is_stored_as_by_django():
    charger = a_charger()
    ours, theirs = (a_new_command(charger, error={"code": "1"}, request_id=7) for _ in range(2))
    insert(ours)
    theirs.save()
    own = {"id", "task_id", "created_at"}
    assert {name: value for name, value in stored(ours).items() if name not in own} == {
        name: value for name, value in stored(theirs).items() if name not in own
    }


def test_an_inserted_instance_has_what_the_database_has_set():
    command = a_new_command(a_charger())
    insert(command)
    assert command.pk
    assert (command.created_at, command.progress) == (stored(command)["created_at"], [])
    command.warning = "changed"
    command.save()  # an update, because the row is stored
    assert Command.objects.get().warning == "changed"


def test_signals_of_an_insertion_are_sent():
    sent = []

    def note(signal, instance, **options):
        sent.append((signal, instance, options.get("created")))

    command = a_new_command(a_charger())
    for signal in (pre_save, post_save):
        signal.connect(note, sender=Command)
    try:
        insert(command)
    finally:
        for signal in (pre_save, post_save):
            signal.disconnect(note, sender=Command)
    assert sent == [(pre_save, command, None), (post_save, command, True)]


def test_a_row_that_breaks_a_constraint_is_an_integrity_error():
    first = a_new_command(a_charger())
    insert(first)
    with pytest.raises(IntegrityError):
        insert(a_new_command(first.charger, task_id=first.task_id))
