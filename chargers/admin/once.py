"""Show a new secret on one page. A message of Django is not used, because it would be stored in a cookie."""

from django.template.response import TemplateResponse


def shown_once(model_admin, request, row, title, secret):
    context = {
        **model_admin.admin_site.each_context(request),
        "title": title,
        "opts": model_admin.opts,
        "row": row,
        "secret": secret,
    }
    return TemplateResponse(request, "admin/chargers/shown_once.html", context, headers={"Cache-Control": "no-store"})
