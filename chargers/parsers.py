"""JSON bodies: UTF-8, finite numbers, and nested no deeper than can be written again."""

import orjson
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class StrictJSONParser(JSONParser):
    """What it lets through can be stored, sent to a charger and shown."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            parsed = orjson.loads(stream.read())
            orjson.dumps(parsed)
        except (orjson.JSONDecodeError, TypeError) as error:
            raise ParseError(f"The body is not usable JSON: {error}") from error
        return parsed
