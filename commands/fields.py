"""A model field for JSON whose members keep their order."""

import orjson
from django.db import models


class OrderedJSONField(models.TextField):
    """JSON kept as text: jsonb would reorder the members, and what goes on the wire must stay as asked for."""

    def from_db_value(self, value, expression, connection):
        return None if value is None else orjson.loads(value)

    def to_python(self, value):
        return value

    def get_prep_value(self, value):
        return None if value is None else orjson.dumps(value).decode()
