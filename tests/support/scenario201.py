"""A charging session of OCPP 2.0.1 in the reusable states that its certification cases name."""

from tests.support.station201 import TOKEN, Session

AUTHORIZED = {"status": "Accepted"}


class Scenario(Session):
    """A session in which each state brings about those that must come before it. Every answer is checked."""

    def __init__(self, station, token=TOKEN, **members):
        super().__init__(station, **members)
        self.token, self.begun, self.reached = token, False, set()

    def send(self, trigger, **members):
        """Send the next event, which is Started if it is the first one."""
        kind, self.begun = "Updated" if self.begun else "Started", True
        return self.event(kind, trigger, **members)

    def at(self, *states):
        """Bring about the states that are missing, in this order."""
        for state in states:
            if state not in self.reached:
                getattr(self, state)()
        return self

    def plugged_in(self, **members):
        """EVConnectedPreSession; the answer."""
        self.reached.add("plugged_in")
        self.station.status("Occupied", self.evse["id"], self.evse["connectorId"])
        return self.send("CablePluggedIn", evse=self.evse, info={"chargingState": "EVConnected"}, **members)

    def authorized(self, **members):
        """Authorized; the answer."""
        self.reached.add("authorized")
        self.station.authorized(self.token)
        answer = self.send("Authorized", idToken=self.token, **members)
        assert answer["idTokenInfo"]["status"] == "Accepted"
        return answer

    def charging(self):
        """EnergyTransferStarted."""
        self.at("authorized", "plugged_in").reached.add("charging")
        self.send("ChargingStateChanged", info={"chargingState": "Charging"})
        return self

    def suspended(self):
        """EnergyTransferSuspended."""
        self.at("charging").reached.add("suspended")
        self.send("ChargingStateChanged", info={"chargingState": "SuspendedEV"})
        return self

    def stop_authorized(self):
        """StopAuthorized."""
        self.at("charging").reached.add("stop_authorized")
        answer = self.send("StopAuthorized", idToken=self.token)
        assert answer["idTokenInfo"]["status"] == "Accepted"
        return self

    def still_plugged_in(self):
        """EVConnectedPostSession."""
        self.at("stop_authorized").reached.add("still_plugged_in")
        self.send("ChargingStateChanged", info={"chargingState": "EVConnected"})
        return self

    def unplugged(self, **members):
        """EVDisconnected, which ends the transaction."""
        self.at("still_plugged_in").reached.add("unplugged")
        self.station.status("Available", self.evse["id"], self.evse["connectorId"])
        return self.ended("EVCommunicationLost", "EVDisconnected", "Idle", **members)

    def ended(self, trigger, reason=None, state=None, **members):
        """Send the last event; the answer."""
        info = {"stoppedReason": reason} if reason else {}
        info |= {"chargingState": state} if state else {}
        return self.event("Ended", trigger, info=info, **members)
