"""The OpenAPI schema, as far as views and serializers do not tell it: errors, headers, ids of chargers."""

import re

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

# What the state of things may forbid, besides commands.
CONFLICTS = re.compile(
    "DELETE .*/chargers/|(PUT|PATCH|DELETE) .*/reservations/|PATCH .*/transactions/|"
    "POST .*/(close|attach|revoke|tokens|cancel|retry|add)/"
)
CHARGER_ID = {"type": "string", "minLength": 1, "maxLength": 255}
TEXT = {"type": "string"}
HEADERS = {
    "202": {"Location": {"schema": TEXT, "required": True, "description": "Of the task."}},
    "401": {"WWW-Authenticate": {"schema": TEXT, "required": True}},
    "429": {"Retry-After": {"schema": {"type": "integer"}, "required": True, "description": "In seconds."}},
}


class ErrorSerializer(serializers.Serializer):
    """Every error but a 400."""

    error = serializers.CharField(help_text="One sentence.")


class BadRequestSerializer(ErrorSerializer):
    fields = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="What is wrong, by the dotted name of the member; empty where it is none of them.",
    )


# (status, what it says, whether it may be the answer to an operation)
ERRORS = [
    ("400", "The request is wrong.", lambda operation: True),
    ("401", "Who asks is not known.", lambda operation: True),
    ("403", "Who asks may not.", lambda operation: True),
    ("404", "There is no such thing, or no such page.", lambda operation: operation.names_something),
    ("409", "Not as things stand.", lambda operation: operation.may_conflict),
    ("413", "The body is too large.", lambda operation: operation.takes_body),
    ("415", "The body is of another type.", lambda operation: operation.takes_body),
    ("429", "Too much waits for this charger already.", lambda operation: operation.asks_charger),
    ("503", "Database, Redis or broker is unavailable, or takes no writes; try again.", lambda operation: True),
]


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "chargers.access.Tokens"
    name = "token"

    def get_security_definition(self, auto_schema):
        described = "`Token …`, made with POST /api/ocpp/tokens/, in the admin, or with manage.py create_token."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": described}


class Schema(AutoSchema):
    @property
    def names_something(self):
        listed = self.method == "GET" and self._get_paginator() is not None
        return "{" in self.path or listed or self.asks_charger

    @property
    def asks_charger(self):
        names = {getattr(parameter, "name", None) for parameter in self.get_override_parameters()}
        return "Idempotency-Key" in names

    @property
    def may_conflict(self):
        return self.asks_charger or CONFLICTS.search(f"{self.method} {self.path}") is not None

    @property
    def takes_body(self):
        return self.method in ("POST", "PUT", "PATCH") and self.get_request_serializer() is not None

    def _get_response_bodies(self, direction="response"):
        answers = super()._get_response_bodies(direction)
        for status, says, may_be in ERRORS:
            if may_be(self) and status not in answers:
                answers[status] = self._error(status, says)
        for status, answer in answers.items():
            if status in HEADERS:
                answer["headers"] = HEADERS[status] | answer.get("headers", {})
        return answers

    def _error(self, status, says):
        serializer = BadRequestSerializer if status == "400" else ErrorSerializer
        answer = self._get_response_for_code(serializer, status, media_types=["application/json"])
        return answer | {"description": says}

    def _resolve_path_parameters(self, variables):
        parameters = super()._resolve_path_parameters(variables)
        for parameter in parameters:
            if parameter["name"] == "charger_id":
                parameter["schema"] = CHARGER_ID
        return parameters
