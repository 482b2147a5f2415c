"""Every column is declared harmless or secret, and no lookup leads to a secret one."""

from itertools import chain

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.http import QueryDict
from django.urls import reverse

from chargers.api.filters import AsSent
from chargers.models import Charger
from commands.models import Command, Upload
from core.admin import lookups
from dashboard.views.base import Listing
from tests.support.builders import a_charger, a_command
from tests.support.routes import rest_lists

KEY = "0011223344556677889900aabbccddeeff001122"
# Columns that every user who may see the row may read. Texts of chargers and answers are stored without secrets.
HARMLESS = {
    "admin.logentry": "id action_time user content_type object_id object_repr action_flag change_message",
    "auth.permission": "id name content_type codename",
    "auth.group_permissions": "id group permission",
    "auth.group": "id name",
    "auth.user_groups": "id user group",
    "auth.user_user_permissions": "id user permission",
    "auth.user": "id last_login is_superuser username first_name last_name email is_staff is_active date_joined",
    "contenttypes.contenttype": "id app_label model",
    "sessions.session": "expire_date",
    "axes.accessfailurelog": "id user_agent ip_address username http_accept path_info attempt_time locked_out",
    "axes.accessattempt": (
        "id user_agent ip_address username http_accept path_info attempt_time failures_since_start"
    ),
    "axes.accessattemptexpiration": "access_attempt expires_at",
    "axes.accesslog": "id user_agent ip_address username http_accept path_info attempt_time logout_time",
    "django_celery_results.taskresult": (
        "id task_id periodic_task_name task_name status worker content_type content_encoding date_created "
        "date_started date_done"
    ),
    "django_celery_results.chordcounter": "id group_id sub_tasks count",
    "django_celery_results.groupresult": "id group_id date_created date_done content_type content_encoding",
    "django_celery_beat.solarschedule": "id event latitude longitude",
    "django_celery_beat.intervalschedule": "id every period",
    "django_celery_beat.clockedschedule": "id clocked_time",
    "django_celery_beat.crontabschedule": "id minute hour day_of_month month_of_year day_of_week timezone",
    "django_celery_beat.periodictasks": "ident last_update",
    "django_celery_beat.periodictask": (
        "id name task interval crontab solar clocked queue exchange routing_key priority expires "
        "expire_seconds one_off start_time enabled last_run_at total_run_count date_changed description"
    ),
    "chargers.charger": (
        "id identity description site security_profile next_security_profile boot_policy registration_status "
        "read_configuration_after_boot message_log validation ping_interval ping_timeout boot_wait vendor "
        "model serial_number charge_box_serial_number firmware_version iccid imsi meter_type "
        "meter_serial_number last_boot_at boot_reason firmware_status firmware_status_at diagnostics_status "
        "diagnostics_status_at log_status log_status_at local_list_version ocpp_version connected_at "
        "disconnected_at last_seen created_at"
    ),
    "chargers.connector": (
        "id charger evse_id connector_id status error_code info vendor_id vendor_error_code timestamp raw_timestamp "
        "received_at scheduled_availability"
    ),
    "chargers.variable": (
        "id charger component component_instance evse_id connector_id variable instance attribute value mutability "
        "persistent constant characteristics reboot_required reported_at"
    ),
    "chargers.variablechange": (
        "id charger component component_instance evse_id connector_id variable instance attribute old_value "
        "new_value source at"
    ),
    "chargers.networkprofile": "id charger slot status answered_at connection security_profile accepted_at",
    "chargers.installedprofile": (
        "id charger evse_id charging_profile_id stack_level purpose source transaction_id valid_from valid_to "
        "profile installed_at reported_at"
    ),
    "chargers.charginglimit": "id charger evse_id source is_grid_critical schedules received_at cleared_at",
    "chargers.installedcertificate": (
        "id charger parent certificate_type hash_algorithm issuer_name_hash issuer_key_hash serial_number "
        "is_reported updated_at"
    ),
    "chargers.securityevent": "id charger type timestamp raw_timestamp tech_info call_id received_at",
    "chargers.monitor": (
        "id charger component component_instance evse_id connector_id variable instance monitor_id type value "
        "severity transaction source reported_at"
    ),
    "chargers.monitoringevent": (
        "id charger component component_instance evse_id connector_id variable instance event_id cause timestamp "
        "raw_timestamp trigger notification_type actual_value cleared tech_code tech_info monitor_id severity "
        "reference seq_no generated_at received_at digest"
    ),
    "chargers.datatransfer": "id charger vendor_id message_id data status answered_data call_id received_at",
    "chargers.site": (
        "id name address latitude longitude time_zone contacts power_limit_w offline_minutes created_at"
    ),
    "chargers.site_users": "id site user",
    "chargers.site_roles": "id site group",
    "chargers.chargergroup_chargers": "id chargergroup charger",
    "chargers.chargergroup_users": "id chargergroup user",
    "chargers.chargergroup_roles": "id chargergroup group",
    "chargers.chargergroup": "id name description",
    "chargers.apitoken": "user created expiry id name last_used",
    "chargers.auditentry": "id at who address action kind name charger before after",
    "chargers.event": "id kind charger at body",
    "chargers.webhook": "id name url kinds group is_enabled created_at",
    "chargers.delivery": "id webhook event charger state attempts due_at answered_status error delivered_at",
    "chargers.incident": (
        "id kind cause severity charger evse_id connector_id code vendor_code detail state is_current recurrences "
        "opened_at last_seen_at cleared_at acknowledged_at acknowledged_by assignee closed_at closed_by"
    ),
    "chargers.incidententry": "id incident at action who text",
    "chargers.notificationrule": (
        "id name is_enabled site severity kinds weekdays from_time until_time channel language notify_end "
        "escalate_after created_at"
    ),
    "chargers.notificationdelivery": (
        "id rule incident reason number state attempts created_at due_at answered_status error delivered_at"
    ),
    "chargers.heldserial": "id charger serial",
    "chargers.finding": "id charger action field kind count first_seen last_seen example",
    "chargers.message": "id charger at direction kind action message_id frame is_error",
    "chargers.refusal": "id charger_id kind status reason address count first_at last_at",
    "transactions.idtag": (
        "id id_tag type status expiry_date parent_id_tag master_pass language message description concurrent_limit "
        "created_at last_authorized_at"
    ),
    "transactions.idtag_chargers": "id idtag charger",
    "transactions.idtag_groups": "id idtag chargergroup",
    "transactions.tariff": (
        "id description currency energy_per_kwh per_minute per_session vat_percent text created_at"
    ),
    "transactions.tariff_chargers": "id tariff charger",
    "transactions.tariff_groups": "id tariff chargergroup",
    "transactions.tariff_id_tags": "id tariff idtag",
    "transactions.unknownidtag": "id id_tag type charger first_seen last_seen presented",
    "transactions.transaction": (
        "id charger own_reference evse_id connector_id id_tag id_token_type id_tag_status "
        "charging_state reservation_id remote_start_id missing_since numbered_until missing_requested_at "
        "start_time raw_start_time start_received_at meter_start raw_meter_start stop_time raw_stop_time "
        "stop_received_at meter_stop raw_meter_stop stop_reason stop_id_tag stop_id_token_type meter_first "
        "meter_latest meter_newest power_latest soc_latest read_until superseded_by closed_at closed_by "
        "clock_skew start_message_id recurrence is_id_used corrected_meter_start corrected_meter_stop "
        "corrected_stop_time corrected_at corrected_by note total_cost currency tariff energy_wh energy_source"
    ),
    "transactions.daytotal": (
        "id charger day id_tag currency sessions charged succeeded without_energy energy_wh duration_s cost"
    ),
    "transactions.monthtotal": (
        "id charger month currency sessions charged succeeded without_energy energy_wh duration_s cost"
    ),
    "transactions.outage": (
        "id charger event_id evse_id connector_id kind error_code vendor_id vendor_error_code began_at ended_at "
        "excluded_because"
    ),
    "transactions.staleday": "id charger day",
    "transactions.recordedevent": (
        "id transaction seq_no digest event_type trigger_reason timestamp raw_timestamp clock_skew "
        "received_at offline charging_state stopped_reason evse_id connector_id id_token id_token_type "
        "id_token_status meter_start meter_stop reservation_id remote_start_id details"
    ),
    "transactions.transactionevent": (
        "id transaction seq_no digest event_type trigger_reason timestamp raw_timestamp clock_skew "
        "received_at offline charging_state stopped_reason evse_id connector_id id_token id_token_type "
        "id_token_status meter_start meter_stop reservation_id remote_start_id details"
    ),
    "transactions.reservation": (
        "id charger evse_id connector_id connector_type id_tag id_token_type parent_id_tag expiry_date state "
        "ended_because end_reported_at created_at"
    ),
    "transactions.orphanstop": (
        "id charger ocpp_version action refused_because reported_transaction_id payload received_at transaction"
    ),
    "transactions.reading": (
        "id charger transaction reported_transaction_id evse_id timestamp raw_timestamp received_at samples "
        "message_hash seq_no trigger_reason event_members"
    ),
    "transactions.metervalue": (
        "id reading_id charger transaction reported_transaction_id evse_id timestamp raw_timestamp received_at "
        "value number measurand unit phase context location format message_hash"
    ),
    "commands.command": (
        "id task_id charger ocpp_version action timeout state outcome simulated response simulated_response error "
        "late_response warning transaction request_id progress report follows retry_full requested_by created_at "
        "sent_at finished_at completed_at confirmation confirmed_at confirmation_detail confirm_until look_at noted"
    ),
    "commands.commanddaytotal": (
        "id charger day action commands accepted refused failed timed_out not_connected cancelled simulated "
        "confirmed not_seen"
    ),
    "commands.commandmonthtotal": (
        "id charger month action commands accepted refused failed timed_out not_connected cancelled simulated "
        "confirmed not_seen"
    ),
    "commands.deletedcommands": (
        "id charger quarter action commands accepted refused failed timed_out not_connected cancelled simulated "
        "confirmed not_seen is_merged"
    ),
    "commands.stalecommandday": "id charger day",
    "commands.reportpart": "id charger action request_id seq_no is_last items digest received_at",
    "commands.displaymessage": (
        "id charger message_id priority state start_at end_at transaction transaction_reference format language "
        "content component component_instance evse_id connector_id accepted_at reported_at updated_at"
    ),
    "commands.publishedfirmware": "id charger checksum location request_id status locations updated_at",
    "commands.customerinformationpart": "id command seq_no is_last received_at",
    "commands.batch": (
        "id intent action timeout chosen total spread_seconds start_at note schedule requested_by created_at "
        "cancelled_at cancelled_by finished_at counts"
    ),
    "commands.batchitem": "id batch charger due_at state reason command",
    "commands.chargingprofile": "id description profile created_at updated_at",
    "commands.evchargingneeds": (
        "id charger evse_id transaction status reason command received_at energy_transfer departure_time energy_wh "
        "max_rate max_periods parameters"
    ),
    "commands.evchargingschedule": (
        "id charger evse_id transaction status reason command received_at begins_at schedule"
    ),
    "commands.locallist": "id charger version entries accepted_at",
    "commands.certificaterequest": (
        "id charger certificate_type common_name csr state error certificate_chain serial_number not_after command "
        "renewal_requested_at received_at"
    ),
    "commands.certificateinquiry": "id charger action subject server status detail call_id received_at",
    "commands.contractroot": "id certificate fingerprint subject serial_number not_after created_at",
    "commands.firmware": "id description version file signing_certificate signature created_at",
    "commands.powerlimit": (
        "id site charger evse_id amount unit weekdays from_time until_time created_by created_at removed_by "
        "removed_at ended_at"
    ),
    "commands.campaign": (
        "id name firmware chosen canaries at_once max_failures days weekdays from_time until_time state reason "
        "requested_by created_at started_at resumed_at ends_at finished_at"
    ),
    "commands.campaignitem": "id campaign charger state is_canary reason command ended_at",
    "commands.limitedplace": (
        "id charger evse_id profile_id wanted tried installed limits command is_open reason tried_at again_at "
        "installed_at"
    ),
    "commands.upload": "id command charger expires_at size received_at",
    "commands.schedule": (
        "id name intent action timeout chosen only_connected spread_seconds at every_seconds crontab timezone "
        "is_enabled owner requested_by periodic_task created_at last_run_at next_run_at note"
    ),
    "dashboard.heartbeat": "id at",
    "dashboard.preference": "id user language",
    "dashboard.reportsubscription": (
        "id name report group_by site every format language recipients owner is_enabled created_at due_at retry_at "
        "sent_at failures error"
    ),
    "dashboard.fleetminute": "id at connected charging faulted power_w energy_today_wh",
}
LOOKUPS = ("", "__exact", "__iexact", "__startswith", "__contains", "__icontains", "__regex", "__iregex", "__gt")
LOOKUPS += ("__gte", "__lt", "__lte", "__range", "__in", "__isnull", "__isempty", "__endswith", "__length", "__0")
LISTS = rest_lists()  # which imports every view, and with them every filter
DEEP = 3  # relations that a path may lead across


def every_model():
    return apps.get_models(include_auto_created=True)


@pytest.mark.parametrize("model", every_model(), ids=lambda model: model._meta.label)
def test_every_column_is_declared_harmless_or_secret(model):
    columns = {field.name for field in model._meta.concrete_fields}
    secret = {field.name for field in model._meta.concrete_fields if lookups.is_secret(field)}
    harmless = set(HARMLESS.get(model._meta.label_lower, "").split())
    assert columns == harmless | secret, "declare a new column here, or in core.admin.lookups.SECRET_COLUMNS"
    assert not harmless & secret


def test_every_declared_column_exists():
    known = {
        model._meta.label_lower: {field.name for field in model._meta.concrete_fields} for model in every_model()
    }
    assert HARMLESS.keys() <= known.keys()
    assert lookups.SECRET_COLUMNS.keys() <= known.keys()
    assert all(names <= known[label] for label, names in lookups.SECRET_COLUMNS.items())


# --- the admin -------------------------------------------------------------------------------


def paths_of(model, deep=DEEP, wanted=lookups.is_secret):
    """The paths from `model`, across relations of both directions, to columns that are `wanted`."""
    for field in model._meta.get_fields():
        name = field.name
        if field.concrete and wanted(field):
            yield name
        if field.is_relation and field.related_model and deep:
            yield from (f"{name}__{rest}" for rest in paths_of(field.related_model, deep - 1, wanted))


def admins():
    return list(admin.site._registry.values())


def of_model(found):
    return found.model._meta.label


@pytest.fixture
def request_of_root(rf, db):
    request = rf.get("/admin/")
    request.user = User.objects.create_superuser("root")
    return request


@pytest.mark.parametrize("model_admin", admins(), ids=of_model)
def test_no_lookup_leads_to_a_secret_column(model_admin, request_of_root):
    paths = set(paths_of(model_admin.model))
    asked = [f"{path}{lookup}" for path in paths for lookup in LOOKUPS]
    assert [name for name in asked if model_admin.lookup_allowed(name, "x", request_of_root)] == []
    if model_admin.model in (Charger, Command):
        assert asked


@pytest.mark.parametrize("model_admin", admins(), ids=of_model)
def test_only_declared_columns_may_be_looked_up(model_admin, request_of_root):
    answer = [lookups._path(one) for one in model_admin.get_list_filter(request_of_root)]
    declared = {path for path in answer if isinstance(path, str)} | {model_admin.date_hierarchy}
    plain = {getattr(path, "parameter_name", path) for path in answer}
    for path in set(paths_of(model_admin.model, 1, lambda field: True)) - declared:
        names = [f"{path}{lookup}" for lookup in LOOKUPS]
        found = {name for name in names if model_admin.lookup_allowed(name, "x", request_of_root)}
        linked = {
            name
            for one in [*declared, *getattr(model_admin, "linked", ())]
            if one
            for name in (one, f"{one}__id__exact")
        }
        assert found <= plain | linked | {f"{name}__exact" for name in linked}, path


@pytest.mark.parametrize("model_admin", admins(), ids=of_model)
def test_lists_are_neither_searched_nor_sorted_by_a_secret_column(model_admin, request_of_root):
    model = model_admin.model
    searched = [*model_admin.get_search_fields(request_of_root), *getattr(model_admin, "searched", ())]
    assert [path for path in searched if lookups.names_secret(model, path)] == []
    columns = len(model_admin.get_list_display(request_of_root)) + 1
    for number in range(columns):
        request_of_root.GET = QueryDict(f"o={number}")
        changelist = model_admin.get_changelist_instance(request_of_root)
        ordered = changelist.get_ordering(request_of_root, model_admin.get_queryset(request_of_root))
        assert [path for path in ordered if isinstance(path, str) and lookups.names_secret(model, path)] == []


@pytest.mark.django_db
def test_a_column_that_is_not_sortable_is_not_sorted_by(api):
    """Django itself sorts by each column of a list, whatever `sortable_by` says."""
    for number in range(3):
        a_command(action=["Reset", "ClearCache", "GetConfiguration"][number])
    listed = reverse("admin:commands_command_changelist")
    pages = [api.get(f"{listed}?o={order}").context["cl"].result_list for order in ("3", "-3")]
    assert [command.pk for command in pages[0]] == [command.pk for command in pages[1]]


@pytest.fixture
def viewer(client, db):
    """A client of a user who may view everything in the admin and change nothing."""
    user = User.objects.create_user("vera", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=["Viewers", "Every charger"]))
    client.force_login(user)
    return client


def test_a_queued_key_cannot_be_guessed_letter_by_letter(viewer):
    command = a_command(a_charger(), "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY})
    Upload.objects.create(token_hash="a", command=command, charger=command.charger, expires_at=command.created_at)
    asked = {
        "commands_command": ["payload__contains", "payload__startswith", "upload__token_hash__startswith"],
        "commands_upload": ["token_hash__startswith", "command__payload__contains", "file__startswith"],
        "chargers_charger": ["commands__payload__contains", "authorization_key_hash__startswith"],
        "chargers_event": ["charger__commands__payload__contains", "charger__authorization_key_hash__startswith"],
        "transactions_transaction": ["commands__payload__contains"],
        "transactions_reservation": ["charger__commands__payload__regex"],
        "django_celery_results_taskresult": ["result__contains"],
    }
    for listed, names in asked.items():
        page = reverse(f"admin:{listed}_changelist")
        assert viewer.get(page).status_code == 200
        assert [viewer.get(page, {name: KEY[0]}).status_code for name in names] == [400] * len(names), listed


def test_a_sealed_column_refuses_lookups(db):
    a_command(a_charger(), "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY})
    for lookup in LOOKUPS[1:]:
        if lookup != "__isnull":
            with pytest.raises(FieldError):
                Command.objects.filter(**{f"payload{lookup}": KEY}).exists()


# --- REST and pages --------------------------------------------------------------------------


def subclasses(cls):
    return set(cls.__subclasses__()).union(*map(subclasses, cls.__subclasses__()))


@pytest.mark.parametrize("filterset", sorted(subclasses(AsSent), key=str), ids=lambda found: found.__name__)
def test_no_filter_uses_a_secret_column(filterset):
    named = [answer.field_name for answer in filterset.base_filters.values() if filterset._meta.model]
    assert [name for name in named if name and lookups.names_secret(filterset._meta.model, name)] == []


def test_a_filter_of_a_secret_column_cannot_be_defined():
    with pytest.raises(ImproperlyConfigured, match="authorization_key_hash"):

        class Leaking(AsSent):
            class Meta:
                model = Charger
                fields = ["authorization_key_hash"]


def test_every_list_page_uses_a_checked_filter():
    found = {view.filterset_class for view in subclasses(Listing)} - {None}
    assert found and all(issubclass(filterset, AsSent) for filterset in found)


def test_the_api_refuses_undeclared_lookups_and_orders(api):
    for resource, view in LISTS.items():
        path = f"/api/ocpp/{resource}/"
        secret = chain.from_iterable((name, f"{name}__startswith") for name in paths_of(view.queryset.model, 1))
        for name in [*secret, "ordering", "o", "order_by"]:
            assert api.get(path, {name: "a"}).status_code == 400, (path, name)
