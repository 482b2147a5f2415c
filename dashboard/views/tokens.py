"""Search of id tags for the forms of commands."""

from django.db.models import Q
from django.http import JsonResponse
from django.views.generic import View

from dashboard.views.base import Page
from transactions.models import IdTag

MOST = 20


class Tokens(Page, View):
    """{"tokens": [{id_tag, type, description}]}: id tags that contain `search` in the tag or its description."""

    permission_required = ("commands.add_command", "transactions.view_idtag")

    def get(self, request):
        search = request.GET.get("search", "").replace("\0", " ")
        found = IdTag.objects.filter(Q(id_tag__icontains=search) | Q(description__icontains=search))
        rows = found.values("id_tag", "type", "description")[:MOST] if search else ()
        return JsonResponse({"tokens": list(rows)})
