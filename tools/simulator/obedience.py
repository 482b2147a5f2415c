"""How a simulated charger answers commands. Handlers are named after the action they answer."""

import asyncio

from ocpp.messages import MessageType, unpack
from ocpp.routing import after, on
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action

from tools.simulator.transfers import TransferringCharger

# Answers to commands that have no effect.
ANSWERS = {
    Action.cancel_reservation: call_result.CancelReservation("Accepted"),
    Action.certificate_signed: call_result.CertificateSigned("Accepted"),
    Action.clear_cache: call_result.ClearCache("Accepted"),
    Action.clear_charging_profile: call_result.ClearChargingProfile("Accepted"),
    Action.data_transfer: call_result.DataTransfer("UnknownVendorId"),
    Action.delete_certificate: call_result.DeleteCertificate("NotFound"),
    Action.get_installed_certificate_ids: call_result.GetInstalledCertificateIds("NotFound"),
    Action.install_certificate: call_result.InstallCertificate("Rejected"),
    Action.get_composite_schedule: call_result.GetCompositeSchedule("Rejected"),
    Action.reserve_now: call_result.ReserveNow("Accepted"),
    Action.set_charging_profile: call_result.SetChargingProfile("Accepted"),
}


class ObedientCharger(TransferringCharger):
    """A charger that answers and obeys every command; `tools.simulator.charger` adds boot and sessions."""

    def __init__(self, hardware, connection):
        super().__init__(hardware.charger_id, connection, response_timeout=60)
        self.hardware, self.options = hardware, hardware.options
        for action, answer in ANSWERS.items():
            self.route_map[action] = {"_on_action": lambda answer=answer, **_: answer}

    async def route_message(self, raw_msg):
        if self.options.silent and unpack(raw_msg).message_type_id == MessageType.Call:
            return
        await super().route_message(raw_msg)

    @on(Action.remote_start_transaction)
    def remote_start_transaction(self, id_tag, connector_id=None, **_):
        free = self._free(connector_id)
        return call_result.RemoteStartTransaction("Accepted" if free else "Rejected")

    @after(Action.remote_start_transaction)
    def after_remote_start_transaction(self, id_tag, connector_id=None, **_):
        if free := self._free(connector_id):
            self.in_background(self.session(free, id_tag, remote=True))

    def _free(self, connector_id):
        wanted = [self.hardware.connector(connector_id)] if connector_id else self.hardware.connectors.values()
        return next((c for c in wanted if c and c.status == "Available"), None)

    @on(Action.remote_stop_transaction)
    def remote_stop_transaction(self, transaction_id):
        connector = self.hardware.charging(transaction_id)
        return call_result.RemoteStopTransaction("Accepted" if connector else "Rejected")

    @after(Action.remote_stop_transaction)
    def after_remote_stop_transaction(self, transaction_id):
        if connector := self.hardware.charging(transaction_id):
            self.stop(connector, "Remote")

    @on(Action.reset)
    def reset(self, type):
        return call_result.Reset("Accepted")

    @after(Action.reset)
    async def after_reset(self, type):
        for connector in self.hardware.connectors.values():
            self.stop(connector, f"{type}Reset")
        await asyncio.sleep(1)
        await self._connection.close()

    @on(Action.unlock_connector)
    def unlock_connector(self, connector_id):
        known = self.hardware.connector(connector_id)
        return call_result.UnlockConnector("Unlocked" if known else "NotSupported")

    @after(Action.unlock_connector)
    def after_unlock_connector(self, connector_id):
        if connector := self.hardware.connector(connector_id):
            self.stop(connector, "UnlockCommand")

    @on(Action.change_availability)
    def change_availability(self, connector_id, type):
        wanted = self._availability(connector_id)
        busy = any(c.transaction_id for c in wanted)
        return call_result.ChangeAvailability("Scheduled" if busy else "Accepted" if wanted else "Rejected")

    @after(Action.change_availability)
    async def after_change_availability(self, connector_id, type):
        for connector in self._availability(connector_id):
            if not connector.transaction_id:
                await self.report_status(connector, "Available" if type == "Operative" else "Unavailable")

    def _availability(self, connector_id):
        """The connectors with this id; 0 means all of them (OCPP 1.6 §5.2)."""
        connectors = self.hardware.connectors
        return (
            list(connectors.values())
            if connector_id == 0
            else [c for c in [self.hardware.connector(connector_id)] if c]
        )

    @on(Action.get_configuration)
    def get_configuration(self, key=None):
        known = self.hardware.configuration
        keys = [
            {"key": name, "readonly": name.startswith(("Number", "Supported")), "value": known[name]}
            for name in (key or known)
            if name in known
        ]
        return call_result.GetConfiguration(keys, [name for name in key or [] if name not in known])

    @on(Action.change_configuration)
    def change_configuration(self, key, value):
        if key not in self.hardware.configuration:
            return call_result.ChangeConfiguration("NotSupported")
        self.hardware.configuration[key] = value
        return call_result.ChangeConfiguration("Accepted")

    @on(Action.get_local_list_version)
    def get_local_list_version(self):
        return call_result.GetLocalListVersion(self.hardware.list_version)

    @on(Action.send_local_list)
    def send_local_list(self, list_version, update_type, **_):
        self.hardware.list_version = list_version
        return call_result.SendLocalList("Accepted")

    @on(Action.trigger_message)
    def trigger_message(self, requested_message, connector_id=None):
        return call_result.TriggerMessage("Accepted")

    @on(Action.extended_trigger_message)
    def extended_trigger_message(self, requested_message, connector_id=None):
        return call_result.ExtendedTriggerMessage("Accepted")

    @after(Action.trigger_message)
    async def after_trigger_message(self, requested_message, connector_id=None):
        if requested_message == "FirmwareStatusNotification":
            await self.call(call.FirmwareStatusNotification("Idle"))
        else:
            await self.send_triggered(requested_message, connector_id)

    @after(Action.extended_trigger_message)
    async def after_extended_trigger_message(self, requested_message, connector_id=None):
        await self.send_triggered(requested_message, connector_id)

    async def send_triggered(self, requested_message, connector_id):
        wanted = [self.hardware.connector(connector_id)] if connector_id else self.hardware.connectors.values()
        connectors = [connector for connector in wanted if connector]
        senders = {
            "BootNotification": lambda: [self.boot()],
            "Heartbeat": lambda: [self.call(call.Heartbeat())],
            "DiagnosticsStatusNotification": lambda: [self.call(call.DiagnosticsStatusNotification("Idle"))],
            "LogStatusNotification": lambda: [self.call(call.LogStatusNotification("Idle", 0))],
            "FirmwareStatusNotification": lambda: [self.call(call.SignedFirmwareStatusNotification("Idle", 0))],
            "SignChargePointCertificate": lambda: [self.renew_certificate()],
            "StatusNotification": lambda: [self.report_status(c, c.status) for c in connectors],
            "MeterValues": lambda: [self.measure(c) for c in connectors],
        }
        for sending in senders[requested_message]():
            await sending
