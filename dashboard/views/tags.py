"""Pages of id tags: the list, its import and export, one tag, and tags that were presented and are unknown."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.shortcuts import redirect
from django.utils.translation import gettext
from django_filters import rest_framework as filters
from rest_framework.exceptions import APIException

from chargers.api.filters import AsSent
from chargers.services import access
from core.http.errors import sentence
from core.sentences import translated
from dashboard.labels import TAG_HINTS, TAGS
from dashboard.views.base import Listing, Page, form_values, own_path
from dashboard.views.editing import DeletePage, EditPage, find
from transactions.api import id_tag_files
from transactions.api.serializers import IdTagSerializer
from transactions.models import IdTag, UnknownIdTag
from transactions.services.key_codes import KEY_CODE

MOST_UNKNOWN = 20  # on a page
MOST_GROUPS = 200  # suggested
MOST_BYTES = 2_000_000  # of a file
MOST_ERRORS = 100  # shown of a file
MOST_LINES = 50


class TagFilter(AsSent):
    """Filters of the list. A PIN is not found by its text, because that would tell it."""

    search = filters.CharFilter(method="containing")
    status = filters.ChoiceFilter(choices=[(status, status) for status in IdTag.STATUSES])

    class Meta:
        model = IdTag
        fields = ["status"]

    def containing(self, rows, name, text):
        in_text = Q(id_tag__icontains=text) & ~Q(type=KEY_CODE)
        return rows.filter(in_text | Q(description__icontains=text) | Q(parent_id_tag__icontains=text))


class Tags(Listing):
    permission_required = "transactions.view_idtag"
    template_name = "dashboard/tags.html"
    filterset_class = TagFilter

    def rows(self):
        return IdTag.objects.prefetch_related("chargers", "groups")

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        return context | {"statuses": IdTag.STATUSES} | accepting(self.request.user, MOST_UNKNOWN)


class ExportTags(Tags):
    """The tags that match the filters, as CSV."""

    def get(self, request):
        rows, _ = self.narrowed()
        return id_tag_files.response(rows, request.user)


class EditTag(EditPage):
    model = IdTag
    serializer_class = IdTagSerializer
    fields = (
        *("id_tag", "type", "status", "expiry_date", "parent_id_tag", "description", "groups", "chargers"),
        *("concurrent_limit", "master_pass", "language", "message"),
    )
    labels, hints = TAG_HINTS, TAGS
    back = "dashboard:tags"

    def rows(self):
        return IdTag.objects.prefetch_related("chargers", "groups")

    def title(self, row):
        return gettext("New ID tag") if row is None else gettext("ID tag {tag}").format(tag=shown(row))

    def names(self):
        """Leave out the text of a PIN that is changed, because it is not shown."""
        row = self.found
        return self.fields[1:] if row is not None and row.type == KEY_CODE else self.fields

    def find(self):
        self.found = super().find()
        return self.found


def shown(tag):
    """Return the text of a tag as pages show it."""
    return tag.shown_id_tag if tag.type == KEY_CODE else str(tag)


class TagStatus(Page):
    """POST blocks or accepts a tag."""

    permission_required = "transactions.change_idtag"
    http_method_names = ["post"]

    def post(self, request, pk):
        tag = find(IdTag.objects, pk)
        body = {"status": request.POST.get("status", "")}
        serializer = IdTagSerializer(tag, data=body, partial=True, context={"request": request})
        try:
            with transaction.atomic():
                serializer.is_valid(raise_exception=True)
                serializer.save()
        except APIException as error:
            messages.error(request, translated(sentence(error)))
        else:
            messages.success(request, gettext("Changes saved."))
        return redirect("dashboard:tags")


class DeleteTag(DeletePage):
    model = IdTag
    back = "dashboard:tags"


class ImportTags(Page):
    """A form for a file. POST shows what its lines change, and stores them if it was confirmed."""

    permission_required = ("transactions.add_idtag", "transactions.change_idtag")
    template_name = "dashboard/import_tags.html"
    extra_context = {"columns": ", ".join(id_tag_files.COLUMNS)}

    def post(self, request):
        content = self._content()
        if len(content) > MOST_BYTES:
            return self._refuse(gettext("The file is too large. Split it."))
        file = id_tag_files.read(content, request)
        if file.errors or "confirmed" not in request.POST:
            return self.render_to_response(self._preview(file, content), status=400 if file.errors else 200)
        try:
            file.store()
        except APIException as error:
            return self._refuse(translated(sentence(error)))
        text = gettext("Imported: {created} new, {changed} changed, {unchanged} unchanged.")
        messages.success(request, text.format(**file.counts()))
        return redirect("dashboard:tags")

    def _content(self):
        """Return the file, or the text of it that the preview has."""
        sent = self.request.FILES.get("file")
        if sent is not None:
            return sent.read(MOST_BYTES + 1)
        return self.request.POST.get("text", "")

    def _refuse(self, text):
        return self.render_to_response(self.get_context_data(refusal=text), status=400)

    def _preview(self, file, content):
        changing = [line for line in file.lines if not line.errors and line.change != id_tag_files.UNCHANGED]
        errors = [(number, column, translated(text)) for number, column, text in file.errors[:MOST_ERRORS]]
        text = "" if file.errors else content.decode("utf-8-sig") if isinstance(content, bytes) else content
        return self.get_context_data(
            file=file,
            counts=file.counts(),
            errors=errors,
            more_errors=len(file.errors) > MOST_ERRORS,
            lines=changing[:MOST_LINES],
            more_lines=len(changing) > MOST_LINES,
            text=text,
        )


# --- unknown tags ----------------------------------------------------------------------------


def accepting(user, most, **where):
    """Return the unknown tags that `user` may accept, of those `where`, and groups to suggest."""
    if not user.has_perms(["transactions.view_unknownidtag", "transactions.add_idtag"]):
        return {}
    rows = within_reach(user).filter(**where).select_related("charger")
    unknown = list(rows[: most + 1])
    groups = IdTag.objects.exclude(parent_id_tag="").order_by("parent_id_tag").values_list("parent_id_tag", flat=True)
    return {
        "unknown": unknown[:most],
        "more_unknown": len(unknown) > most,
        "tag_groups": list(groups.distinct()[:MOST_GROUPS]) if unknown else [],
    }


def within_reach(user):
    """Return the unknown tags of chargers that `user` may reach."""
    return access.within(user, UnknownIdTag.objects.all())


class AcceptTag(Page):
    """POST makes an unknown tag an id tag, with a group and a description."""

    permission_required = ("transactions.view_unknownidtag", "transactions.add_idtag")
    http_method_names = ["post"]

    def post(self, request, pk):
        unknown = find(within_reach(request.user), pk)
        values = form_values(request)
        columns = {"parent_id_tag": values.get("group", ""), "description": values.get("description", "")}
        try:
            with transaction.atomic():
                tag = unknown.accept(**columns)
        except ValidationError as error:
            messages.error(request, " ".join(translated(line) for line in error.messages))
        else:
            messages.success(request, gettext("ID tag {tag} is accepted from now on.").format(tag=tag))
        return redirect(back(request, "dashboard:tags"))


class ForgetTag(DeletePage):
    model = UnknownIdTag
    back = "dashboard:tags"

    def rows(self):
        return within_reach(self.request.user)


def back(request, page):
    """Return the path that the form names as `next`, else `page`."""
    return own_path(request, request.POST.get("next", "")) or page
