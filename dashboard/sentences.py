"""Translate sentences of the layers below the pages.

These layers write English, because their sentences are also stored, logged, and answered over REST. A page translates
them when it shows them. SENTENCES lists them; `{name}` stands for any text. Another sentence stays English.
"""

import re
from functools import cache, lru_cache
from itertools import islice
from typing import Any

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

from dashboard.labels import FIELDS

SENTENCES = (
    # files and forms of sites, see `chargers.services.site_files`
    _("The file is not UTF-8 text. Save it as CSV UTF-8 in the spreadsheet program."),
    _("The file is too large: the limit is 4 MiB."),
    _("The file has more than {number} lines."),
    _("The first line must name the columns. {name} is missing."),
    _("The first line names a column twice."),
    _("There is no column {name}. Known: {names}."),
    _("This line is no CSV: look at its quotes."),
    _("This line has more cells than the first line."),
    _("This line has details of a site, but no site."),
    _("Line {line} has another value for this site."),
    _("{charger_id} is also in line {line}."),
    _("There is no charger {charger_id}."),
    _("There is no site {name}."),
    _("You may not change the site {name}."),
    _("Enter degrees, such as 52.532."),
    _("Enter watts as a whole number."),
    _("Enter both latitude and longitude, or neither."),
    # readiness and faults of servers, see `dashboard.readiness` and `core.observability.diagnosis`
    _("{server} can't be reached."),
    _("Start it, or correct {variable}. Chargers wait for their answers meanwhile; nothing is lost."),
    _("Start it, or correct {variable}. Chargers are served meanwhile; commands wait."),
    _("{server} does not answer in time."),
    _(
        "Look at the load and the disk of its machine, and at pg_stat_activity. A synchronous standby that is "
        "unavailable delays every commit, too."
    ),
    _("Look at the load of its machine, and at SLOWLOG GET. Chargers are served meanwhile; commands wait."),
    _("{server} is starting or stopping and takes no connections."),
    _("Wait a moment. If it lasts, read the log of PostgreSQL: it may be recovering, or its disk may be full."),
    _("{server} refuses the login, or lacks the database."),
    _("Correct the user, the password or the database name in {variable}, or pg_hba.conf of the server."),
    _("{server} is read-only."),
    _(
        "If it is a standby, name the primary in {variable}. Else set default_transaction_read_only to off, for the "
        "server, the database and the user. Chargers wait for their answers meanwhile; nothing is lost."
    ),
    _("The disk of {server} is full."),
    _("Free space on the disk of its data folder, but delete nothing in that folder. It then recovers by itself."),
    _("Another session has locked tables or rows of this program in {server}."),
    _("Wait for that session, such as a migration, or end it: pg_locks and pg_stat_activity name it."),
    _("{server} has no connection free."),
    _("Raise max_connections, or end sessions that pg_stat_activity shows as idle."),
    _("{server} is out of memory."),
    _("Free memory on its machine, or lower work_mem and max_connections."),
    _("{server} ended the transaction."),
    _("Try again. If it lasts, read the log of PostgreSQL: sessions may lock the same rows in different orders."),
    _("{server} answers with an error."),
    _("Read the log of this process, which has the error, and the log of PostgreSQL."),
    _("{server} is still loading its data."),
    _("Wait until it has read its files; its log shows the progress."),
    _("{server} refuses the login, or the user may not write."),
    _("Correct the user and the password in {variable}, or the access list of the server (ACL)."),
    _("{server} is a replica, which takes no writes."),
    _("Name the primary in {variable}, or use a sentinel:// URL, which follows a failover."),
    _("{server} is out of memory and takes no writes (maxmemory is reached)."),
    _(
        "Raise maxmemory, or free memory: INFO memory and `redis-cli --bigkeys` show its use. Chargers are served "
        "meanwhile; commands can't be submitted."
    ),
    _("{server} can't write to its disk, and so takes no writes."),
    _("Free space on its disk, or correct its access rights there; its log has the error."),
    _("{server} takes no writes, since too few of its replicas are connected."),
    _("Start the replicas, or lower min-replicas-to-write."),
    _("Raise maxclients, or end clients that CLIENT LIST shows as idle."),
    _("Read the log of this process, which has the error, and the log of that server."),
    _("Redis or the message broker is unavailable."),
    _("Nothing was submitted; try again."),
    _("The database lacks migrations of this version."),
    _("Run `python manage.py migrate`; the log names those that are missing."),
    _("Free space on it. Until then files can't be stored."),
    _("The disk of {server} has less than {number} MiB free."),
    _("Free space on it, or enlarge it."),
    _("This process can't write to {server}."),
    _("Give its user write permission, or set {variable} to another folder."),
    _("The disk of {server} does not answer in time."),
    _("Check the disk, or the file server that it is on."),
    _("A message of a charger has been unanswered for more than {number} s."),
    _(
        "Check pg_stat_activity and pg_locks, because another session may have locked its rows. The log of this "
        "process has the reason for the wait."
    ),
    _("No Celery worker has reported for half a minute."),
    _("Start one, and read its log if it ends. Until then commands are accepted and wait."),
    _("Celery beat has not reported for half a minute."),
    _("Start exactly one. Until then expired data is not deleted."),
    _("The server that {variable} names."),
    _("The disk of {server}, which {variable} names."),
    _("The program `python -m tools.stack {name}`."),
    _("The database that DATABASE_URL names."),
    _("This process."),
    # refused handshakes, see the handshake of chargers
    _("The charger id in the path is not UTF-8."),
    _("Connect to /ws/ocpp/<charger id>, an id of 1 to 255 characters, not to {path}"),
    _(
        "This is no WebSocket handshake: the request has no `Upgrade: websocket` with `Connection: Upgrade`. A proxy "
        "has probably dropped these headers. Configure it to pass them on, see docs/operations.md, "
        '"A proxy of your own". A charger must be set to OCPP 1.6 JSON (ws:// or wss://), not SOAP.'
    ),
    _("This server speaks {version}; the charger offered no subprotocol."),
    _("This server speaks {version}; the charger offered {offered}."),
    _("Charger {charger_id} is not known here."),
    _("A charger needs a key or a certificate here: its address is in none of the OCPP_OPEN_NETWORKS."),
    _("Basic auth with the charger's id and its key is required."),
    _("Basic auth with the charger's id and its key is required, without TLS (security profile 1)."),
    _("Basic auth with the charger's id and its key is required, over TLS (security profile 2)."),
    _("A client certificate of this charger is required (security profile 3)."),
    _("Refused too often: try again in a minute."),
    _("The path of this handshake named no charger id: correct the URL in the charger."),
    _("A charger id has 1 to 255 characters."),
    _("This charger is known already: give it a new key, or correct what it presents."),
    # chargers
    _("0: no authentication"),
    _("1: Basic auth"),
    _("2: Basic auth over TLS"),
    _("3: TLS with a client certificate"),
    _("A text is longer than the standard allows."),
    _("The standard does not define this member."),
    _("A value is of another type than the standard requires."),
    _("A text is not a number in the notation of the standard."),
    _("The standard does not list this value."),
    _("A member is null."),
    _("A required member, or every item of a list, is missing."),
    _("An item of a list cannot be read."),
    _("A number is outside the range of the standard, or is implausible."),
    _("A timestamp cannot be read, lies before 2010 or in the future."),
    _("A frame or a text cannot be read in part: it is not JSON, or contains control characters."),
    _("The message was refused, because nothing in it could be used."),
    _("It exceeds its budget of {counts}."),
    _("Its socket is read more slowly. All its messages are processed, but later."),
    _("So many are stored, energy registers first. A stop ends its session as usual."),
    _("The status of a further connector is acknowledged and not stored. Transactions there are stored."),
    _("A further tag is answered as usual and not listed."),
    _("A further one is not stored, unless it is a start or a stop with a meter value."),
    _("A further one is acknowledged and not stored."),
    _("A further one is answered as usual and not stored."),
    _("A further one is rejected and not stored."),
    _("Further ones of an answer or a report are not stored."),
    _("Further members are counted together, as (others)."),
    _("Say true or false."),
    _("Also send charger_id, or since and until at most a day apart."),
    # commands that were refused, or submitted with a warning
    _("Charger {charger} is Rejected: nothing may be sent to it until it boots again and is accepted."),
    _("The charger speaks {version}, not {other}."),
    _("Charger {charger} is Pending: {action} may not be sent until it boots again and is accepted."),
    _("{number} commands already wait for charger {charger}."),
    _("{hidden} stands for a secret that is not shown. Enter the secret itself."),
    _("No key in SECRETS_KEYS opens this secret: add the key that it was encrypted with to the list."),
    _("SECRETS_KEYS is `none` here, but this process needs the keys: set it to the list of keys."),
    _(
        "The database became unavailable while the command was stored, so it may have been submitted. Look at the "
        "charger's commands before you send it again, or send it with an Idempotency-Key."
    ),
    _("An AuthorizationKey is 16 to 20 bytes: 32 to 40 hex digits, or as many characters."),
    _("A security profile can't be lowered over OCPP."),
    _("The charger has reported that {key} is read-only."),
    _("This reservation belongs to another charger."),
    _("Its expiryDate has passed."),
    _("Connector {connector_id} is {status}."),
    _("0 and -1 are reserved (1.6 errata 3.52)."),
    _("The list contains a tag twice."),
    _("{first} and {second} are one id token, because tokens are compared without case. Send it once."),
    _("The charger's SendLocalListMaxLength is {limit}, this list has {number} tags."),
    _("These tags are unknown and sent as Invalid: {tags}."),
    _("The certificate is not a PEM X.509 certificate: the charger should refuse it."),
    _("Give a location, or set PUBLIC_URL so that chargers can upload here."),
    _("Leave it out: this URL was not made by this system."),
    _("Leave it out: this URL was made for another command."),
    _("There is no charging profile {number} in the library."),
    _("A ChargePointMaxProfile belongs on connector 0."),
    _("A transaction starts on a connector, and 0 is the charger as a whole."),
    _("With a remote start it must be TxProfile."),
    _("There is no transaction yet: leave it out."),
    _("The first period must start at 0."),
    _("Periods must follow each other."),
    _("A limit or duration can't be negative."),
    _("The lowest stack level is 0."),
    # effects of commands, see `commands.actions.effects` and `commands.actions.limits`
    _("Not seen within {time}."),
    _("A session was expected to begin."),
    _("It needs {number} portions for this charger, and at most {limit} are possible. Send it as several requests."),
    _("Session {number} began on connector {connector}."),
    _("Session {number} began."),
    _("The session is not known here, so its end can't be seen."),
    _("Session {number} has ended."),
    _("Session {number} no longer charges: {state}."),
    _("Session {number} was expected to end."),
    _("The charger has booted."),
    _("The charger was expected to boot."),
    _("EVSE {evse} has reported its state again."),
    _("EVSE {evse} was expected to report its state again."),
    _("The charger answered Unlocked."),
    _("A connector was expected to become {state}."),
    _("Connector {number} was expected to become {state}; it is {status}."),
    _("Its connectors are {state}."),
    _("It takes effect at the next boot, which was expected."),
    _("The charger does not support {action}, so the effect can't be seen."),
    _("It was expected to be read back by {action}."),
    _("{key} was set, but the charger does not report it."),
    _("The charger does not report the value of {key}."),
    _("{key} was read back as {value}."),
    _("{key} was set to {wanted}, but was read back as {value}."),
    _("{number} values were read back as they were set."),
    _("A secret is not read back."),
    _("A later command has set it again, so its effect can't be seen."),
    _("Nothing is read back from chargers here (OCPP_READ_BACK_SECONDS), so the effect can't be seen."),
    _("The charger reported {status}."),
    _("The charger has nothing to deliver."),
    _("The end of the delivery was expected; the charger reported {status}."),
    _("The end of the delivery was expected."),
    _("The charger has booted with the firmware {version}."),
    _("The charger has sent {message}."),
    _("The charger has sent a message."),
    _("A {message} was expected."),
    _("The charger reports version {number} of its list."),
    _("Version {sent} was sent, but the charger reports version {number} of its list."),
    _("Connector {number} is Reserved."),
    _("A connector was expected to become Reserved."),
    _("Connector {number} is still Reserved."),
    _("Its connectors are not Reserved."),
    _("The reservation is of no certain connector, so no status shows it."),
    _("The profile begins more than a day from now."),
    _("No profile that it removes now is known here."),
    _("GetCompositeSchedule reports no schedule."),
    _("GetCompositeSchedule still shows the limit of {limit}."),
    _("GetCompositeSchedule no longer shows the limit."),
    _("GetCompositeSchedule was answered {status}."),
    _("GetCompositeSchedule covers no time for which the profile has a limit."),
    _("The profile allows {limit}, but GetCompositeSchedule shows {number}."),
    _("GetCompositeSchedule shows the limits."),
    _("GetCompositeSchedule shows the limit of {limit}."),
    _("The power of the session was not measured since."),
    _("But the session charges with {number} W."),
    _("The session charges with {number} W."),
    _("GetChargingProfiles no longer finds such a profile."),
    _("GetChargingProfiles still finds such a profile."),
    # charging profiles of OCPP 2.0.1
    _("Only an external system sets such a profile."),
    _("A ChargingStationMaxProfile can't be Relative."),
    _("A Recurring profile has one, and no other."),
    _("A Relative profile has none, and every other needs one."),
    _("A limit must be a multiple of 0.1."),
    _("There are 1, 2 or 3 phases."),
    _("It is 1, 2 or 3, and needs a numberPhases of 1."),
    _("A ChargingStationMaxProfile belongs on EVSE 0."),
    _("A TxProfile belongs on the EVSE of its transaction, not on 0."),
    _("Name the transaction: none, or more than one, is under way on this EVSE."),
    _("This transaction is not under way on EVSE {evse}."),
    _("Only a vehicle that has reported its needs may have several."),
    _("The charger's highest stack level is {number}."),
    _("The charger takes {number} periods in a schedule, and this profile has {count}."),
    _("The charger has reported that smart charging is disabled."),
    _("The charger stores {number} profiles, and has as many."),
    _("The charger does not support the unit {unit}."),
    _("The charger has not reported ACPhaseSwitchingSupported: leave out phaseToUse."),
    _(
        "The charger has profile {number} on EVSE {evse} with this purpose and stack level. Use its id to replace "
        "it, choose another stack level, or clear it."
    ),
    _("Give a chargingProfileId, or criteria: an evseId, a chargingProfilePurpose or a stackLevel."),
    _("Only the external system that set such a profile can clear it."),
    _("Give chargingProfileId, or other criteria: chargingProfilePurpose, stackLevel, chargingLimitSource."),
    _("This profile has several schedules or a phaseToUse, which OCPP 1.6 does not have."),
    _("Only a Recurring profile has one."),
    _("Only a TxProfile has one."),
    _("A Relative profile has no startSchedule: the charger may refuse it."),
    _("A Recurring profile needs a recurrencyKind."),
    _("The profile is never valid: validTo is not after validFrom."),
    _("The charger's {key} is {value}, this profile has {number}."),
    _("A TxProfile belongs on the connector of its transaction, not on 0."),
    _("No transaction is under way on connector {connector_id}: the charger will refuse a TxProfile."),
    _("A TxProfile without a transactionId applies to any transaction that is under way on the connector."),
    _("Transaction {number} is not under way at this charger."),
    _("No ongoing transaction is known; transactionId {number} is sent and the charger decides."),
    _(
        "No ongoing transaction can be named: {known} is superseded or of another OCPP version; "
        "transactionId {number} is sent and the charger decides."
    ),
    _("The charger speaks {version}, which has no command for this."),
    _("The charger speaks {version}, which has no command {action}."),
    _("The id of a transaction of OCPP 1.6 is a number."),
    _("An EVSE of OCPP 1.6 has one connector: leave it out."),
    _("A variable of OCPP 1.6 is a configuration key: send its name alone."),
    _("A variable of OCPP 2.0.1 belongs to a component: name it."),
    _("EVSE 0 is the charger as a whole: name an EVSE, or leave it out."),
    _("A StatusNotification is about one connector: name its EVSE and the connector."),
    _("{value} is neither true nor false."),
    _("{value} is no time, such as 2030-01-31T12:00:00Z."),
    _("{value} is not {meant}."),
    _("{value} is less than {number}."),
    _("{value} is more than {number}."),
    _("{value} is none of {choices}."),
    _("It has {number} characters, and {most} at most."),
    _("So says OCPP 2.0.1."),
    _("The charger has reported this."),
    _("{name} is named twice with the same variable."),
    _("The charger has reported that {name} is write-only."),
    _("The charger has reported no component {name}."),
    _("The charger has reported {name} {values}, without {value}."),
    _("The charger has reported that it shows no messages."),
    _("The charger has no transaction with this id."),
    _("Its transaction has ended, and the charger removes a message at the end of its transaction."),
    _("It is never shown, because its endDateTime has passed or is not after its startDateTime."),
    _("The charger can verify a signature only by its signing certificate: send both, or neither."),
    _("OCPP 2.0.1 has security profiles 1, 2 and 3."),
    _("The charger has reported the slots {slots}, and {number} is none of them."),
    _(
        "The connection in slot {slot} has security profile {profile}, and this charger may only connect with "
        "{lowest} or higher."
    ),
    _("The charger has not listed this certificate. Send GetInstalledCertificateIds to learn its hashes."),
    _("A severity is a number from 0, the most severe, to 9."),
    _("A difference cannot be negative."),
    _("Monitor {number} is hardwired and cannot be changed."),
    _("Monitor {number} is one of {name}; it cannot be moved to another variable."),
    _("{name} is named twice with the same type and severity, or id."),
    _("Neither report nor clear is true, so the charger has nothing to do and should reject it."),
    _("This is a payload of {other}, and the charger speaks {version}."),
    _("The charger lists this certificate with {algorithms}: use its hashes."),
    _("{number} certificates with this serial number are known in the charger; name the hashes."),
    _("A BasicAuthPassword has {shortest} to {longest} characters; this one has {number}."),
    _("Name the customer by exactly one of {names}."),
    # batches and schedules
    _("Give exactly one of intent and action."),
    _("Unknown chargers: {ids} and {number} more."),
    _("Unknown chargers: {ids}."),
    _("Leave it out: a secret of its own is generated for every charger."),
    _("This Idempotency-Key was used for another request."),
    _("{number} chargers of your batches are waiting already. At most {limit} may wait."),
    _("The user who submitted this batch may no longer send commands to this charger."),
    _("An internal error ({name}). See the log of the workers."),
    _("This run was missed, because the system was down or overloaded for too long."),
    _("The owner of the schedule may no longer send commands. A user who may must save it again."),
    _("No charger matches the schedule."),
    _("Give exactly one of chargers and filter."),
    _("The time must be between now and a hundred years from now."),
    _("{name} is not a time zone. Use a name such as Europe/Berlin."),
    _("Give exactly one of at, every_seconds and crontab."),
    _("From 60 seconds to a year."),
    _(
        "Give five fields: minute hour day month weekday (Sunday is 0), such as `30 3 * * 1-5`, that match a time in "
        "the future."
    ),
    # id tags and their files
    _("This id tag exists already with this type (compared without case)."),
    _("A PIN keeps its type; delete it and add the token."),
    _("A master pass needs the group that its chargers have as MasterPassGroupId."),
    _("Only printable ASCII characters."),
    _("A language tag such as de or en-US."),
    _("Object with charger_id={value} does not exist."),
    _("Object with name={value} does not exist."),
    _("The file is not a text in UTF-8."),
    _("The first line must name the columns, id_tag among them."),
    _("There is no such column."),
    _("A file may have 10,000 lines. Split it."),
    _("This line has more cells than the first line has columns."),
    _("This tag is in the file twice."),
    _("This is not CSV: {error}."),
    _("Id tags were changed at the same time. Import the file again."),
    # chargers, API tokens and webhooks
    _("This charger can't be deleted, because it has transactions or commands."),
    _("You have a token of this name already."),
    _("Enter a valid URL, http:// or https://."),
    _("Remove user and password from the URL; receivers verify the signature."),
    # corrections and exports of transactions
    _("This session is under way: close it first, then correct it. A note is possible now."),
    _("It is in the future."),
    _("It is before the start at {time}."),
    _("No meter value is known of the start: give it as well."),
    _("It is below the start at {number} Wh."),
    _("No meter value is known of the end: correct meter_stop as well."),
    _("It is above the stop at {number} Wh: correct meter_stop as well."),
    _("Another sheet is being made just now: try again in a minute, or take CSV."),
    _("A sheet is made of at most {number} transactions: narrow the list, or take CSV."),
    # incidents, see `chargers.models.incidents` and `chargers.error_codes`
    _("Connector reports a fault"),
    _("Connector is too hot"),
    _("Charger is offline"),
    _("Firmware campaign has stopped"),
    _("Charger is connected, but sends nothing"),
    _("Charger is refused"),
    _("Unknown charger tries to connect"),
    _("Command failed"),
    _("Message of a charger was refused"),
    _("Clock of a charger is wrong"),
    _("Charger reports a security event"),
    _("Charger reports a severe event"),
    _("This system has a problem"),
    _("The connector could not be locked or unlocked."),
    _("Unplug the cable and plug it in again. If it recurs, have the lock checked on site."),
    _("The charger could not communicate with the vehicle."),
    _("Plug the vehicle in again, or try another one. If it recurs with every vehicle, have the cable checked."),
    _("The ground fault protection has tripped."),
    _("Do not reset it again and again. Have an electrician check the charger, its cable and its installation."),
    _("The charger or its connector is too hot."),
    _("Check ventilation, filters and sunlight. If it recurs, limit its power and have the contacts checked."),
    _("A part of the charger or its software has failed."),
    _("Restart the charger. If it recurs, fetch its log and send it to the manufacturer."),
    _("The local list conflicts with the list of this system."),
    _("Send the local list as a whole."),
    _("The charger reports an error that the standard does not name."),
    _("See the error code of the manufacturer and the text, and the manual of the charger."),
    _("The over-current protection has tripped."),
    _("Have the installation checked. If it happened during a charge, compare the current limit with the fuse."),
    _("The voltage has risen above an acceptable level."),
    _("Measure the supply. If it affects several chargers of a site, ask the grid operator."),
    _("The charger cannot read its electricity meter."),
    _("Restart the charger. Until the meter works, energy is not measured, so check the cable to the meter."),
    _("A power switch or contactor does not work."),
    _("Take the connector out of service, because its power may not be switched off. Have it repaired."),
    _("The card reader does not work."),
    _("Restart the charger. Drivers can be started remotely meanwhile."),
    _("The charger could not reset itself."),
    _("Switch its supply off and on."),
    _("The voltage has dropped below an acceptable level."),
    _("Check the fuses and the supply. If it affects several chargers of a site, ask the grid operator."),
    _("The wireless signal is weak."),
    _("Check the antenna, or connect the charger by cable."),
    _("A tamper sensor of the charger has tripped."),
    _("Check on site whether the charger was opened."),
    _("The security log of the charger was cleared."),
    _("Find out who did it. If nobody should have, renew the keys of the charger."),
    _("The memory of the charger is exhausted."),
    _("Restart the charger, and look for a newer firmware."),
    _("The signature of a firmware is invalid."),
    _("Check that the firmware is that of the manufacturer, and was not changed."),
    _("The certificate of a firmware is invalid."),
    _("Check that the firmware is that of the manufacturer, and that the clock of the charger is right."),
    _("The charger was sent a former message again."),
    _("Look for changes in the network of the charger, and renew its keys."),
    _("The charger could not authenticate here."),
    _("Give it a new key or a new certificate."),
    _("The charger does not trust the certificate of this system."),
    _("Check the root certificates of the charger, its clock and the certificate of this system."),
    _("A certificate that was sent to the charger is invalid."),
    _("Check whom it is for, its dates and the clock of the charger, and send a new one."),
    _("The TLS version of a connection is not allowed."),
    _("Check the proxy in front of this system."),
    _("The cipher suite of a connection is not allowed."),
    _("A login to the maintenance interface of the charger has failed."),
    _("Find out who tried it. If nobody should have, check the charger on site."),
    _("An emergency stop was pressed."),
    _("Find out why on site, and release the emergency stop."),
    _("The vehicle is not in a mode in which it can be charged."),
    _("Ask the driver to switch the vehicle off and to put it in park."),
    _("The check of the cable before charging has failed."),
    _("The control pilot signal is faulty."),
    _("Have the cable and the connector checked."),
    _("The charger has lost its power."),
    _("Check the fuses and the supply."),
    _("A contactor of the charger does not work."),
    _("The cable is hot, so the power is reduced."),
    _("Have the contacts of the connector checked, and the cooling of the cable if it has one."),
    _("The cable is too hot, so charging was stopped."),
    _("The connector is not plugged in completely."),
    _("Ask the driver to plug it in again. If it recurs, have the connector checked."),
    _("The resistance of the insulation is too low."),
    _("Do not reset it again and again. Have the cable and the charger checked."),
    _("The proximity signal of the connector is faulty."),
    _("There is a voltage on the connector although nobody charges."),
    _("The latch of the connector is broken."),
    _("Take the connector out of service, and have it replaced."),
    _("The cable is cut."),
    _("Take the connector out of service, and check on site."),
    _("The charger reports that this connector does not work."),
    _("See its page for messages before the fault."),
    _("Check ventilation, filters and sunlight."),
    _("The charger has no connection to this system."),
    _("Check its power supply and its network. If several chargers of a site are offline, check the router."),
    _("The connection is open, but nothing was received for a long time."),
    _("Restart the charger. If it recurs, set a shorter ping interval, so that a lost connection is noticed."),
    _("The charger tries to connect, and its handshake is refused."),
    _("The text says what is missing. Give the charger a new key, or correct its settings."),
    _("A charger with an id that is not known here tries to connect."),
    _("Add it on the page of refused connections if it is yours, or correct the id in its URL."),
    _("The charger did not answer its last command, or answered with an error."),
    _("See the page of the command, and send it again when the charger is connected."),
    _("Nothing in a message of the charger could be used, so it was refused."),
    _("See the protocol issues of the charger, and send them to its manufacturer."),
    _("The charger sends times that cannot be right."),
    _("Its clock is set at each boot and heartbeat. Restart it; if it recurs, its clock is broken."),
    _("The charger reports a security event."),
    _("See its security events."),
    _("The charger reports an event of high severity."),
    _("See its variables and monitoring events."),
    _("A part of this system does not work."),
    _("The text says what to do."),
    # firmware images
    _("There is an image of this name."),
    _("A signed image needs both the signature and the signing certificate."),
    _("This image can't be deleted, because it has campaigns."),
    _("This image can't be deleted yet, because a command to {charger} needs it."),
    # firmware campaigns, see `commands.services.campaigns`
    _("The charger has this version already."),
    _("The user who created the campaign may no longer send commands to this charger."),
    _("The command of the update was deleted."),
    _("The charger was not connected when it could have been updated."),
    _("The charger was not accepted when it could have been updated."),
    _("The campaign ended before it was the turn of this charger."),
    _("The version after the boot is {version}, but that of the image is {wanted}."),
    _("The update of a canary has failed."),
    _("The charger did not answer."),
    _("The charger was disconnected before it got the command."),
    _("The connection was lost before the charger answered."),
    _("The answer of the charger is invalid."),
    _("The command of the update was cancelled."),
    _("The charger answered the error {code}."),
    _("The command ended as {outcome}."),
    _("An update has failed."),
    _("{number} updates have failed."),
    _("This campaign was started before."),
    _("Only a running campaign can be paused."),
    _("The campaign or its chargers were changed meanwhile. Start it again."),
    _("The user who created this campaign may not send commands to: {chargers}. Create a campaign of your own."),
    _("Only a campaign that runs, is paused, or has stopped by itself can be stopped."),
    _("Only a paused or stopped campaign can be resumed."),
    _("This campaign has not been started."),
    _("The update of this campaign has failed for no charger."),
    _("Only a draft, or a campaign that has ended, can be deleted. Stop it, and wait for its running updates."),
    _("Only a draft can be changed."),
    _("The file of {firmware} is missing in the storage. Upload it again."),
    _("Set PUBLIC_URL to the URL under which chargers reach this server over HTTP."),
    _("This firmware has no signature or no signing certificate."),
    _("Updates of a firmware campaign have failed, so no further charger is updated."),
    _("See the page of the campaign. Repeat the updates that failed, resume it without them, or end it."),
    # reports by mail, see `dashboard.report_mail`
    _("{user} may not see this report, which needs the permission {permission}."),
    _("{owner} may not see this site."),
    # power limits, see `commands.services.power_limits`
    _("This limit was removed before."),
    _("The charger takes {most} periods in a schedule, and its limits need {number}."),
    _("Name at least one day, from 1, Monday, to 7, Sunday."),
    _("Send both from_time and until_time, or neither."),
    _("Send a time in whole minutes, such as 22:00."),
    _("Leave out both times for the whole day."),
    _("Give exactly one of site and charger_id."),
    _("A limit of a site is one of whole chargers: leave it out."),
    _("Charger not found"),
    _("The charger answered {status}."),
    _("The command ended as {outcome}{code}."),
)
# Sentences of libraries that have no translations: those of Django about missing rows, and of the JSON schemas.
OF_LIBRARIES = (
    _("No {model} matches the given query."),
    _("{value} is not one of {choices} or {number} other candidates"),
    _("{value} is not one of {choices} or {choice}"),
    _("{value} is not one of {choice}"),
    _("{value} is not of type {type}"),
    _("{value} is not of types {types}"),
    _("{name} is a required property"),
    _("{value} is longer than {number} character"),
    _("{value} is longer than {number} characters"),
    _("{value} is shorter than {number} character"),
    _("{value} is shorter than {number} characters"),
    _("{value} is less than the minimum of {number}"),
    _("{value} is greater than the maximum of {number}"),
    _("{value} is not a multiple of {number}"),
    _("{value} is not a {format}"),
    _("False schema does not allow {value}"),
    _("{value} has less than {number} item"),
    _("{value} has less than {number} items"),
    _("{value} has more than {number} item"),
    _("{value} has more than {number} items"),
)
# Texts of Django REST framework, which translates them itself when it finds them in the catalogue. Its own German
# addresses users informally.
OF_REST_FRAMEWORK = (
    _("Ensure this value is greater than or equal to {min_value}."),
    _("Ensure this value is less than or equal to {max_value}."),
    _("Ensure this field has no more than {max_length} characters."),
    _("Ensure this field has no more than {max_length} elements."),
    _("Ensure this field has at least {min_length} elements."),
    _("Datetime has wrong format. Use one of these formats instead: {format}."),
    _("This field is required."),
)
# Texts that stand for a `{name}` of a sentence.
PARTS = frozenset(
    (
        _("The message broker"),
        _("a number"),
        _("a whole number"),
        _("the folder for files"),
        _("the folder for temporary files"),
        _("messages a second"),
        _("rows of meter values a minute"),
        _("starts and stops a minute"),
        _("sampled values in one message"),
        _("connectors"),
        _("unknown id tags in the list, of one charger"),
        _("unknown id tags in the list, of all chargers"),
        _("orphan stops and refused messages about transactions that wait for an operator"),
        _("security events an hour"),
        _("DataTransfers an hour"),
        _("requests for a certificate an hour"),
        _("configuration keys"),
        _("findings"),
    )
)
NAME = re.compile(r"\{(\w+)\}")
ESCAPED_NAME = re.compile(r"\\{(\w+)\\}")
ANY_TEXT = r"(?P<\1>(?:(?!\. ).)+?)"  # within one sentence
SENTENCE_END = re.compile(r"(?<=[.!?]) ")
# A text may quote the input of somebody, and the time to translate it must not grow with the square of its length.
MAX_LENGTH = 20_000  # characters; a longer text stays English
MAX_SENTENCES = 12  # that are looked up together; no known text has as many
# A sentence after the name of a field, or after the time of a run.
AFTER_NAME = re.compile(r"([A-Za-z][\w.]*|[\d-]{10} [\d:]{8} UTC): (.+)", re.DOTALL)


@cache
def _patterns() -> Any:
    """Return [(compiled pattern, sentence)] of the sentences with a `{name}`; the one with most other text first."""
    listed = [sentence for sentence in (*SENTENCES, *OF_LIBRARIES) if NAME.search(sentence)]
    listed.sort(key=lambda sentence: len(NAME.sub("", sentence)), reverse=True)
    return [(re.compile(ESCAPED_NAME.sub(ANY_TEXT, re.escape(sentence)), re.DOTALL), sentence) for sentence in listed]


def translated(text: object) -> str:
    """Return `text`, one or more sentences in English, in the language of the page."""
    language, text = get_language() or "en", str(text)
    return text if language == "en" or len(text) > MAX_LENGTH else _translated(text, language)


def labelled(text: str) -> str:
    """Return `text` with the label of the field in place of the name that it begins with, if it begins with one."""
    found = AFTER_NAME.fullmatch(text)
    return f"{FIELDS[found[1]]}: {found[2]}" if found and found[1] in FIELDS else text


@lru_cache(maxsize=4096)
def _translated(text: str, language: Any) -> str:
    """Translate the longest beginning that is known, then the longest of the rest, and so on.

    A sentence that is not known stays as it is. The cache is by `language`, which is the current one.
    """
    parts = []
    while (whole := _known(text)) is None:
        if named := AFTER_NAME.fullmatch(text):
            part, text = f"{FIELDS.get(named[1], named[1])}:", named[2]
        elif ends := [end.start() for end in islice(SENTENCE_END.finditer(text), MAX_SENTENCES)]:
            known = ((end, found) for end in reversed(ends) if (found := _known(text[:end])) is not None)
            end, part = next(known, (ends[0], text[: ends[0]]))
            text = text[end + 1 :]
        else:
            break
        parts.append(part)
    return " ".join([*parts, text if whole is None else whole])


def _known(text: str) -> Any:
    """Return the translation of `text` if it is one of the sentences, else None."""
    if text in SENTENCES:
        return gettext(text)
    for pattern, sentence in _patterns():
        if found := pattern.fullmatch(text):
            values = {name: gettext(value) if value in PARTS else value for name, value in found.groupdict().items()}
            return gettext(sentence).format(**values)
    return None
