"""Certificates over REST: requests of chargers, their stores, contract roots, and what other servers said."""

from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, viewsets
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.filters import of_charger
from chargers.api.viewsets import Scoped
from chargers.models import InstalledCertificate
from chargers.services.access import needs, within
from commands.api.filters import CertificateFilter
from commands.api.serializers.certificates import (
    CertificateInquirySerializer,
    ContractRootSerializer,
    HeldCertificateSerializer,
)
from commands.api.serializers.commands import CertificateSerializer
from commands.models import CertificateInquiry, CertificateRequest, ContractRoot
from commands.services import authority
from core.http.errors import Conflict
from core.http.pagination import NewestFirst

PEM_FILE = {(200, "application/x-pem-file"): OpenApiTypes.STR}


class CertificateList(Scoped, generics.ListAPIView):
    """Certificate requests of chargers and their results, newest first."""

    queryset = CertificateRequest.objects.exclude(charger=None).select_related("charger", "command")
    serializer_class = CertificateSerializer
    filterset_class = CertificateFilter
    pagination_class = NewestFirst


class InstalledCertificateList(Scoped, generics.ListAPIView):
    """The certificates in the stores of chargers, as they have accepted or listed them, newest first.

    Those of a chain are listed with the certificate of the charger, see `child_certificate_hash_data`.
    """

    queryset = InstalledCertificate.objects.filter(parent=None).select_related("charger").prefetch_related("children")
    serializer_class = HeldCertificateSerializer
    filterset_class = of_charger(
        InstalledCertificate, "id", "certificate_type", "hash_algorithm", "serial_number", "is_reported", "updated_at"
    )
    pagination_class = NewestFirst


class CertificateInquiryList(Scoped, generics.ListAPIView):
    """Messages of chargers that led to a request to another server, newest first.

    They are GetCertificateStatus, Get15118EVCertificate, and Authorize with a contract certificate.
    """

    queryset = CertificateInquiry.objects.select_related("charger")
    serializer_class = CertificateInquirySerializer
    filterset_class = of_charger(
        CertificateInquiry, "id", "action", "subject", "server", "status", "detail", "received_at"
    )
    pagination_class = NewestFirst


@method_decorator(transaction.atomic, name="create")
@method_decorator(transaction.atomic, name="destroy")
class ContractRootViewSet(
    mixins.CreateModelMixin, mixins.DestroyModelMixin, viewsets.ReadOnlyModelViewSet[ContractRoot]
):
    """The authorities whose contract certificates are believed, roots or authorities below them."""

    queryset = ContractRoot.objects.all()
    serializer_class = ContractRootSerializer
    filterset_fields = ["id", "subject", "serial_number", "fingerprint", "not_after", "created_at"]


@extend_schema(request=None, responses=CertificateSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="commands.change_certificaterequest")])
def revoke_certificate(request: Request, pk: int) -> Response:
    """Revoke a certificate; a charger that is connected with it must reconnect."""
    reachable = within(request.user, CertificateList.queryset)
    certificate = get_object_or_404(reachable, pk=pk)
    if not certificate.revoke():
        raise Conflict("This certificate was never signed, or is already revoked.")
    return Response(CertificateSerializer(certificate).data)


@extend_schema(responses=PEM_FILE)
@api_view(["GET"])
@permission_classes([needs(GET="commands.view_certificaterequest")])
def root_certificates(request: Request) -> HttpResponse:
    """PEM with the roots of the authority for chargers, as InstallCertificate and servers need them."""
    return HttpResponse("".join(authority.roots().values()), content_type="application/x-pem-file")


@extend_schema(responses=PEM_FILE)
@api_view(["GET"])
@permission_classes([needs(GET="commands.view_certificaterequest")])
def v2g_root_certificate(request: Request) -> HttpResponse:
    """PEM of the root of the V2G certificates that are signed here, as InstallCertificate needs it."""
    return HttpResponse(authority.v2g_root(), content_type="application/x-pem-file")
