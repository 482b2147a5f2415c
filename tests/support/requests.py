"""Payloads of requests, and the form values by which a page sends them."""

A_TIME = "2030-01-01T00:00:00Z"
BY_FORMAT = {"date-time": A_TIME, "uri": "https://example.org/"}
BY_TYPE = {"string": "x", "integer": 1, "number": 1.5, "boolean": True}


def a_payload(tree, is_whole=False):
    """Return a valid payload of a resolved schema: with the required members alone, or with all but customData."""
    if "enum" in tree:
        return tree["enum"][0]
    if tree.get("type") == "object":
        named = {name: branch for name, branch in tree.get("properties", {}).items() if name != "customData"}
        wanted = named if is_whole else tree.get("required", ())
        return {name: a_payload(named[name], is_whole) for name in wanted}
    if tree.get("type") == "array":
        return [a_payload(tree["items"], is_whole)] * max(1, tree.get("minItems", 1))
    return BY_FORMAT.get(tree.get("format")) or BY_TYPE.get(tree.get("type"), "x")


def form_values(payload, path=""):
    """Return {dotted name: text} of a payload, as a form sends it."""
    if isinstance(payload, dict | list):
        members = payload.items() if isinstance(payload, dict) else enumerate(payload)
        inner = [form_values(value, f"{path}.{name}".lstrip(".")) for name, value in members]
        return {name: text for values in inner for name, text in values.items()}
    return {path: str(payload).lower() if isinstance(payload, bool) else str(payload)}
