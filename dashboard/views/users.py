"""Pages of users: the list, a new one with a first password, roles, sites and groups."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from chargers.services import access, users
from dashboard.views.base import Listing, Page
from dashboard.views.editing import find, shown_once

SCOPES = ("roles", "sites", "charger_groups")
RELATIONS = {"roles": "groups", "sites": "sites", "charger_groups": "charger_groups"}  # field: member of `User`


class UserForm(forms.ModelForm):
    """A user, with the roles, sites and groups that `manager` may give. Others that the user has are kept."""

    boxes = forms.CheckboxSelectMultiple
    roles: Any = forms.ModelMultipleChoiceField(None, required=False, widget=boxes, label=gettext_lazy("Roles"))
    sites: Any = forms.ModelMultipleChoiceField(None, required=False, widget=boxes, label=gettext_lazy("Sites"))
    charger_groups: Any = forms.ModelMultipleChoiceField(
        None, required=False, widget=boxes, label=gettext_lazy("Charger groups")
    )

    class Meta:
        model = User
        fields = ("username", "first_name", "last_name", "email", "is_active")
        labels = {
            "username": gettext_lazy("User name"),
            "first_name": gettext_lazy("First name"),
            "last_name": gettext_lazy("Last name"),
            "email": gettext_lazy("E-mail"),
            "is_active": gettext_lazy("May log in"),
        }
        help_texts = dict.fromkeys(labels, "")

    def __init__(self, *args, manager, **options):
        super().__init__(*args, **options)
        self.manager = manager
        offered = (users.roles(manager), access.sites(manager), users.groups(manager))
        for name, rows in zip(SCOPES, offered, strict=True):
            self.fields[name].queryset = rows
        if self.instance.pk:
            del self.fields["username"]
            for name, member in RELATIONS.items():
                self.fields[name].initial = list(getattr(self.instance, member).values_list("pk", flat=True))

    def clean(self):
        values = super().clean()
        if self.instance == self.manager and not values.get("is_active", True):
            self.add_error("is_active", gettext("You cannot deactivate yourself."))
        needs_place = not access.reaches_every_charger(self.manager)
        if needs_place and not (values.get("sites") or values.get("charger_groups")):
            self.add_error("sites", gettext("Select a site or a charger group."))
        return values

    @transaction.atomic
    def save(self, commit=True):
        user = super().save()
        for name, member in RELATIONS.items():
            relation, offered = getattr(user, member), self.fields[name].queryset
            kept = relation.exclude(pk__in=offered.order_by().values("pk"))
            relation.set([*self.cleaned_data[name], *kept])
        return user


class Users(Listing):
    permission_required = "auth.view_user"
    template_name = "dashboard/users.html"

    def rows(self):
        rows = users.visible(self.request.user).order_by("username")
        search = self.request.GET.get("search", "").replace("\0", " ")
        named = Q(*[(f"{name}__icontains", search) for name in ("username", "first_name", "last_name", "email")])
        named.connector = Q.OR
        return rows.filter(named).prefetch_related("groups", "sites", "charger_groups")


class EditUser(Page):
    """The form of a new user, or with `pk` in the path of one."""

    template_name = "dashboard/edit_user.html"

    def get_permission_required(self):
        return ["auth.change_user" if "pk" in self.kwargs else "auth.add_user"]

    def get_context_data(self, form=None, **kwargs):
        user = self.found()
        form = form or UserForm(instance=user, manager=self.request.user)
        return super().get_context_data(**kwargs) | {"form": form, "changed": user}

    def found(self):
        return managed(self.request.user, self.kwargs["pk"]) if "pk" in self.kwargs else None

    def post(self, request, **kwargs):
        user = self.found()
        form = UserForm(request.POST, instance=user or User(), manager=request.user)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form), status=400)
        if user is not None:
            form.save()
            messages.success(request, gettext("Changes saved."))
            return redirect("dashboard:users")
        password = users.first_password()
        form.instance.set_password(password)
        return with_password(self, form.save(), password)


class NewPassword(Page):
    """POST sets a new password, which only the response shows."""

    permission_required = "auth.change_user"
    http_method_names = ["post"]

    def post(self, request, pk):
        user = managed(request.user, pk)
        password = users.first_password()
        user.set_password(password)
        with transaction.atomic():
            user.save(update_fields=["password"])
        return with_password(self, user, password)


def managed(manager, pk):
    """Return the user; raise 404 if `manager` may not see it, and `PermissionDenied` if not change it."""
    user = find(users.visible(manager), pk)
    if not users.may_change(manager, user):
        raise PermissionDenied(gettext("This user has rights that you do not have. Ask an administrator."))
    return user


def with_password(page, user, password):
    title = gettext("Password of {user}").format(user=user)
    text = gettext("Give the password to {user}, who can change it under Settings, My account.").format(user=user)
    return shown_once(page, title, text, gettext("Password"), password, reverse("dashboard:users"))
