from decimal import Decimal, InvalidOperation


def read(text):
    try:
        d = Decimal("".join(text.split()))
        return d if d.is_finite() else None
    except InvalidOperation:
        return None
