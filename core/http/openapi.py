"""Complete the OpenAPI schema by errors, headers and charger ids, which views and serializers do not declare."""

import re
from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from core.http.subjects import subject_of

# Operations besides commands that may be answered by 409.
CONFLICTS = re.compile(
    "DELETE .*/(chargers|firmware|power-limits)/|(PUT|PATCH|DELETE) .*/reservations/|PATCH .*/transactions/|"
    "(PATCH|DELETE) .*/campaigns/|POST .*/campaigns/.*/(start|pause|resume|stop)/|"
    "POST .*/(close|attach|revoke|tokens|cancel|retry|add)/"
)
CHARGER_ID = {"type": "string", "minLength": 1, "maxLength": 255}
TEXT = {"type": "string"}
HEADERS = {
    "202": {"Location": {"schema": TEXT, "required": True, "description": "URL of the task."}},
    "401": {"WWW-Authenticate": {"schema": TEXT, "required": True}},
    "429": {"Retry-After": {"schema": {"type": "integer"}, "required": True, "description": "In seconds."}},
}


class ErrorSerializer(serializers.Serializer):
    """The body of every error except 400."""

    error = serializers.CharField(help_text="One sentence.")


class BadRequestSerializer(ErrorSerializer):
    fields = serializers.DictField(  # type: ignore[assignment]  # DRF removes the attribute from the class
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Sentences by the dotted name of the member; empty if the error is about no member.",
    )


# (status, description, whether it may be the answer to an operation)
ERRORS: list[tuple[str, str, Callable[["Schema"], bool]]] = [
    ("400", "The request is wrong.", lambda operation: True),
    ("401", "The login is missing or invalid.", lambda operation: True),
    ("403", "The user lacks the permission.", lambda operation: True),
    ("404", "The object or the page does not exist.", lambda operation: operation.names_object),
    ("409", "The state of the object does not allow this.", lambda operation: operation.may_conflict),
    ("413", "The body is too large.", lambda operation: operation.takes_body),
    ("415", "The body is of another type.", lambda operation: operation.takes_body),
    (
        "429",
        "Too many commands wait for this charger, or the user has submitted too many in this minute.",
        lambda operation: operation.submits_command,
    ),
    ("503", "Database, Redis or broker is unavailable, or takes no writes; try again.", lambda operation: True),
]


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "chargers.services.access.Tokens"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        described = "`Token …`, created with POST /api/ocpp/tokens/, in the admin, or with manage.py create_token."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": described}


class Schema(AutoSchema):
    def get_tags(self) -> list[str]:
        subject = subject_of(self.path)
        return super().get_tags() if subject is None else [subject]

    @property
    def names_object(self) -> bool:
        listed = self.method == "GET" and self._get_paginator() is not None
        return "{" in self.path or listed or self.submits_command

    @property
    def submits_command(self) -> bool:
        names = {getattr(parameter, "name", None) for parameter in self.get_override_parameters()}
        return "Idempotency-Key" in names

    @property
    def may_conflict(self) -> bool:
        return self.submits_command or CONFLICTS.search(f"{self.method} {self.path}") is not None

    @property
    def takes_body(self) -> bool:
        return self.method in ("POST", "PUT", "PATCH") and self.get_request_serializer() is not None

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        for status, description, may_be in ERRORS:
            if may_be(self) and status not in answers:
                answers[status] = self._error(status, description)
        for status, answer in answers.items():
            if status in HEADERS:
                answer["headers"] = HEADERS[status] | answer.get("headers", {})
        return answers

    def _error(self, status: str, description: str) -> dict[str, Any]:
        serializer: type[ErrorSerializer] = BadRequestSerializer if status == "400" else ErrorSerializer
        answer: dict[str, Any] = self._get_response_for_code(serializer, status, media_types=["application/json"])
        return answer | {"description": description}

    def _resolve_path_parameters(self, variables: list[str]) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._resolve_path_parameters(variables)
        for parameter in parameters:
            if parameter["name"] == "charger_id":
                parameter["schema"] = CHARGER_ID
        return parameters
