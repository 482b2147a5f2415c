"""A secret that is shown on one page, once, and kept nowhere in plain: a message would travel in a cookie."""

from django.template.response import TemplateResponse


def shown_once(model_admin, request, row, what, secret):
    context = {
        **model_admin.admin_site.each_context(request),
        "title": what,
        "opts": model_admin.opts,
        "row": row,
        "secret": secret,
    }
    return TemplateResponse(request, "admin/chargers/shown_once.html", context, headers={"Cache-Control": "no-store"})
