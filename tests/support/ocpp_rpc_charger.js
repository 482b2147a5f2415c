// A charger of OCPP 2.0.1 on npm ocpp-rpc in strict mode, which checks every message both ways against its schema.
// Arguments: the URL before the charger id, the charger id, the id token. It ends after a session and a Reset.
const { RPCClient } = require('ocpp-rpc');

const [endpoint, identity, idToken] = process.argv.slice(2);
const token = { idToken, type: 'ISO14443' };
const now = () => new Date().toISOString();
const client = new RPCClient({ endpoint, identity, protocols: ['ocpp2.0.1'], strictMode: true });
const fail = (error) => { console.error(error); process.exit(1); };
let sequence = 0, stop;
const stopped = new Promise((resolve) => { stop = resolve; });

client.on('strictValidationFailure', ({ error }) => fail(error));
client.handle('GetVariables', ({ params }) => ({
  getVariableResult: params.getVariableData.map(({ component, variable }) => (
    { component, variable, attributeStatus: 'Accepted', attributeValue: '300' })),
}));
client.handle('RequestStopTransaction', ({ params }) => { stop(params.transactionId); return { status: 'Accepted' }; });
client.handle('Reset', () => { setTimeout(() => client.close().then(() => process.exit(0)), 100); return { status: 'Accepted' }; });

const event = (eventType, triggerReason, value, info, more) => client.call('TransactionEvent', {
  eventType, triggerReason, timestamp: now(), seqNo: sequence++,
  transactionInfo: { transactionId: `${identity}-1`, ...info },
  meterValue: [{ timestamp: now(), sampledValue: [{ value, measurand: 'Energy.Active.Import.Register' }] }],
  ...more,
});

async function live() {
  await client.connect();
  const chargingStation = { vendorName: 'npm', model: 'ocpp-rpc' };
  const boot = await client.call('BootNotification', { reason: 'PowerUp', chargingStation });
  if (boot.status !== 'Accepted') throw new Error(boot.status);
  const status = { connectorStatus: 'Available', evseId: 1, connectorId: 1 };
  await client.call('StatusNotification', { timestamp: now(), ...status });
  const { idTokenInfo } = await client.call('Authorize', { idToken: token });
  if (idTokenInfo.status !== 'Accepted') throw new Error(idTokenInfo.status);
  const evse = { id: 1, connectorId: 1 };
  await event('Started', 'Authorized', 1000, { chargingState: 'Charging' }, { idToken: token, evse });
  await event('Updated', 'MeterValuePeriodic', 2000, { chargingState: 'Charging' });
  await stopped;
  await event('Ended', 'RemoteStop', 3000, { chargingState: 'EVConnected', stoppedReason: 'Remote' });
}

live().catch(fail);
