"""The OpenAPI schema: what cannot be read off a view."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "chargers.access.Tokens"
    name = "token"

    def get_security_definition(self, auto_schema):
        described = "`Token …`, made with POST /api/ocpp/tokens/, in the admin, or with manage.py create_token."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": described}
