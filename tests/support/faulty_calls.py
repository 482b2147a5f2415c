"""Print [kind, kind] of the answers to a CALL while the function of the argument raises, and to one after that."""

import sys
from unittest.mock import patch

from tests.support.in_process import connected, web

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}

if __name__ == "__main__":
    with web() as url, connected(url, "ocpp1.6") as (_, call, _):
        call("StatusNotification", STATUS)  # until it is answered, frames are queued for `listen`
        with patch(sys.argv[1], side_effect=ZeroDivisionError):
            first = call("StatusNotification", STATUS)
        print([first[0], call("StatusNotification", STATUS)[0]])
