"""Search of id tags for the forms of commands."""

from django.db.models import Q
from django.http import JsonResponse
from django.views.generic import View

from dashboard.views.base import Page
from transactions.models import IdTag
from transactions.services.key_codes import KEY_CODE

MOST = 20


class Tokens(Page, View):
    """{"tokens": [{id_tag, type, description}]}: id tags, no PINs, whose tag or description contains `search`."""

    permission_required = ("commands.add_command", "transactions.view_idtag")

    def get(self, request):
        search = request.GET.get("search", "").replace("\0", " ")
        found = IdTag.objects.exclude(type=KEY_CODE).filter(
            Q(id_tag__icontains=search) | Q(description__icontains=search)
        )
        rows = found.values("id_tag", "type", "description")[:MOST] if search else ()
        return JsonResponse({"tokens": list(rows)})
