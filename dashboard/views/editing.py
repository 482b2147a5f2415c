"""Base classes of pages that create, change and delete rows, with the serializers of REST."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from rest_framework.exceptions import APIException, ValidationError

from chargers.services.access import reaches_every_charger
from core.http.errors import sentence
from core.sentences import translated
from dashboard import editing
from dashboard.views.base import Page


class EditPage(Page):
    """A form that creates a row of `model`, or with `pk` in the path changes one."""

    template_name = "dashboard/edit.html"
    model: Any = None
    serializer_class: Any = None
    fields: tuple[str, ...] = ()
    labels: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    back = ""  # the name of the page with the list

    def get_permission_required(self):
        verb = "change" if self.is_change else "add"
        return [f"{self.model._meta.app_label}.{verb}_{self.model._meta.model_name}"]

    @property
    def is_change(self):
        return "pk" in self.kwargs

    def rows(self):
        """Return the rows that the user may change."""
        return self.model.objects.all()

    def find(self):
        """Return the row that is changed, None for a new one; raise 404 if the user may not see it."""
        return find(self.rows(), self.kwargs["pk"]) if self.is_change else None

    def names(self):
        """Return the names of the fields, in their order."""
        return self.fields

    def serializer(self, row, **options):
        return self.serializer_class(row, context={"request": self.request}, **options)

    def get_context_data(self, row=None, query=None, errors=None, **kwargs):
        row = row or self.find()
        fields = editing.fields_of(self.serializer(row), self.names(), query, errors, self.labels, self.hints)
        return super().get_context_data(**kwargs) | {
            "row": row,
            "title": self.title(row),
            "fields": fields,
            "errors": editing.remaining(errors or {}, self.names()),
            "back": self.back_to(),
        }

    def back_to(self):
        """Return the path of the page to which the form returns."""
        return reverse(self.back)

    def post(self, request, **kwargs):
        row = self.find()
        body = editing.changes(self.serializer(row), self.names(), request.POST, request.FILES)
        serializer = self.serializer(row, data=body, partial=row is not None)
        try:
            with transaction.atomic():
                serializer.is_valid(raise_exception=True)
                saved = self.save(serializer)
        except ValidationError as error:
            return self.refuse(row, error.detail if isinstance(error.detail, dict) else {"": error.detail})
        except IntegrityError:
            return self.refuse(row, {"": [gettext("It was changed at the same time. Try again.")]})
        except APIException as error:
            return self.refuse(row, {"": [sentence(error)]}, error.status_code)
        return self.done(saved, serializer)

    def refuse(self, row, errors, status=400):
        context = self.get_context_data(row=row, query=self.request.POST, errors=errors)
        return self.render_to_response(context, status=status)

    def save(self, serializer):
        return serializer.save()

    def done(self, row, serializer):
        messages.success(self.request, gettext("Changes saved."))
        return redirect(self.back_to())


class DeletePage(Page):
    """POST deletes a row of `model`."""

    http_method_names = ["post"]
    model: Any = None
    back = ""

    def get_permission_required(self):
        return [f"{self.model._meta.app_label}.delete_{self.model._meta.model_name}"]

    def rows(self):
        return self.model.objects.all()

    def post(self, request, pk):
        row = find(self.rows(), pk)
        try:
            with transaction.atomic():
                self.delete(row)
        except APIException as error:
            messages.error(request, translated(sentence(error)))
            return redirect(self.back)
        messages.success(request, gettext("Deleted."))
        return redirect(self.back)

    def delete(self, row):
        row.delete()


def shown_once(page, title, explanation, secret_label, secret, to):
    """Show a new secret, on this page only. A message of Django is not used, because it would be in a cookie."""
    context = Page.get_context_data(page, title=title, explanation=explanation, secret_label=secret_label)
    context |= {"secret": secret, "next": to}
    return TemplateResponse(page.request, "dashboard/shown_once.html", context)


class EveryCharger:
    """Require access to every charger, because the rows of a page belong to no single charger."""

    def dispatch(self, request, *args, **kwargs):
        if request.user.is_authenticated and not reaches_every_charger(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can use this page."))
        return super().dispatch(request, *args, **kwargs)


def find(rows, pk):
    """Return the row of this primary key; raise 404 if there is none."""
    row = rows.filter(pk=pk).first()
    if row is None:
        raise Http404(gettext("It does not exist, or you have no access to it."))
    return row
