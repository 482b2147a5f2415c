"""What every page tells browsers: nothing of others is run, framed or fetched in it."""

POLICY = {
    # Swagger's page sets styles by itself, and draws with images in its style sheet.
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def policy(get_response):
    """Middleware: the headers of POLICY, where the answer has no stricter one of its own."""

    def middleware(request):
        response = get_response(request)
        for name, value in POLICY.items():
            response.headers.setdefault(name, value)
        return response

    return middleware
