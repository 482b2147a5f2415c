"""The statements of each app's `sql.py` fit the tables."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection

pytestmark = pytest.mark.django_db


def statements():
    """Yield (name, statement) of every public text of a module `sql` of an app, alone or as a value of a dict."""
    for app in ("chargers", "transactions", "commands", "gateway", "dashboard"):
        assert apps.is_installed(app)
        for name, found in vars(import_module(f"{app}.sql")).items():
            if name.isupper() and not name.startswith("_"):
                texts = found if isinstance(found, dict) else {"": found}
                yield from (
                    pytest.param(text, id=f"{app}.{name}{key}")
                    for key, text in texts.items()
                    if isinstance(text, str)
                )


@pytest.mark.parametrize("statement", list(statements()))
def test_a_statement_names_tables_and_columns_that_exist(statement):
    numbered = statement.replace("{column}", "firmware_status")
    for number in range(statement.count("%s")):
        numbered = numbered.replace("%s", f"${number + 1}", 1)
    for number, name in enumerate(sorted({part.split(")")[0] for part in statement.split("%(")[1:]})):
        numbered = numbered.replace(f"%({name})s", f"${number + 1}")
    with connection.cursor() as cursor:
        cursor.execute(f"PREPARE statement AS {numbered}")
        cursor.execute("DEALLOCATE statement")
