"""Contract roots, inquiries about certificates, and the certificates in the stores of chargers, as JSON."""

from cryptography import x509
from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow
from chargers.api.serializers.chargers import InstalledCertificateSerializer
from commands.models import CertificateInquiry, ContractRoot


class ContractRootSerializer(serializers.ModelSerializer):
    """An authority whose contract certificates are believed."""

    class Meta:
        model = ContractRoot
        fields = ["id", "certificate", "subject", "serial_number", "fingerprint", "not_after", "created_at"]
        read_only_fields = ["subject", "serial_number", "fingerprint", "not_after", "created_at"]

    def validate_certificate(self, pem: str) -> str:
        try:
            certificates = x509.load_pem_x509_certificates(pem.encode())
            usage = certificates[0].extensions.get_extension_for_class(x509.BasicConstraints)
        except (ValueError, x509.ExtensionNotFound) as error:
            raise serializers.ValidationError("This is no certificate of an authority in PEM.") from error
        if len(certificates) != 1 or not usage.value.ca:
            raise serializers.ValidationError("Send the certificate of one authority.")
        if ContractRoot.objects.filter(fingerprint=ContractRoot.fingerprint_of(certificates[0])).exists():
            raise serializers.ValidationError("This certificate is a contract root already.")
        return pem


class CertificateInquirySerializer(ChargerRow):
    """A question about a certificate that another server answered."""

    class Meta:
        model = CertificateInquiry
        fields = ["id", "charger_id", "action", "subject", "server", "status", "detail", "received_at"]


class HeldCertificateSerializer(InstalledCertificateSerializer):
    """A certificate in the store of a charger."""

    charger_id = serializers.CharField(source="charger.identity", read_only=True)

    class Meta(InstalledCertificateSerializer.Meta):
        fields = ["id", "charger_id", *InstalledCertificateSerializer.Meta.fields]
