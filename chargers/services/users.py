"""Which users, roles, sites and groups a user may manage: nobody grants more than he has."""

import secrets
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from chargers.models import ChargerGroup, Site
from chargers.services import access

PASSWORD_BYTES = 12  # of a first password, of which 16 characters are made


def groups(manager: Any) -> QuerySet[ChargerGroup]:
    """Return the charger groups that `manager` may give to users."""
    return ChargerGroup.objects.all() if access.reaches_every_charger(manager) else ChargerGroup.of(manager)


def visible(manager: Any) -> QuerySet[User]:
    """Return the users that `manager` may see: all, or those of the sites and groups of `manager`."""
    if access.reaches_every_charger(manager):
        return User.objects.all()
    sites, shared = _pks(Site.of(manager)), _pks(ChargerGroup.of(manager))
    at_sites = Q(sites__in=sites) | Q(groups__sites__in=sites)
    in_groups = Q(charger_groups__in=shared) | Q(groups__charger_groups__in=shared)
    found = User.objects.filter(at_sites | in_groups | Q(pk=manager.pk))
    return User.objects.filter(pk__in=found.order_by().values("pk"))


def roles(manager: Any) -> QuerySet[Group]:
    """Return the roles that `manager` may give: those without a permission or a place that `manager` lacks."""
    if manager.is_superuser:
        return Group.objects.all()
    lacking = [permission.pk for permission in _permissions() if not manager.has_perm(_name(permission))]
    allowed = Group.objects.exclude(permissions__in=lacking)
    if access.reaches_every_charger(manager):
        return allowed
    elsewhere = Site.objects.exclude(pk__in=_pks(Site.of(manager)))
    other_groups = ChargerGroup.objects.exclude(pk__in=_pks(ChargerGroup.of(manager)))
    return allowed.exclude(sites__in=elsewhere).exclude(charger_groups__in=other_groups)


def may_change(manager: Any, user: User) -> bool:
    """Return whether `manager` may change `user`, who then has no permission, site or group that `manager` lacks."""
    if manager.is_superuser:
        return True
    if user.is_superuser or not user.get_all_permissions() <= manager.get_all_permissions():
        return False
    if access.reaches_every_charger(manager):
        return True
    own_sites, own_groups = set(_pks(Site.of(manager))), set(_pks(ChargerGroup.of(manager)))
    return set(_pks(Site.of(user))) <= own_sites and set(_pks(ChargerGroup.of(user))) <= own_groups


def first_password() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _pks(rows: QuerySet[Any]) -> QuerySet[Any, Any]:
    return rows.order_by().values_list("pk", flat=True)


def _permissions() -> QuerySet[Permission]:
    return Permission.objects.select_related("content_type")


def _name(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"
