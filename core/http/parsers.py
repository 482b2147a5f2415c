"""Parse bodies: CSV, and JSON strictly: UTF-8, finite numbers, no deeper nesting than can be serialised again."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser


class StrictJSONParser(JSONParser):
    """Accept only JSON that can be stored, sent to a charger and shown."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            parsed = orjson.loads(stream.read())
            orjson.dumps(parsed)
        except (orjson.JSONDecodeError, TypeError) as error:
            raise ParseError(f"The body is not usable JSON: {error}") from error
        return parsed


class CsvParser(BaseParser):
    """Return the bytes of a CSV file."""

    media_type = "text/csv"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return stream.read()
