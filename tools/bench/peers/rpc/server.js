// npm ocpp-rpc's central system in strict mode (it validates every message), in memory, after its documentation.
const { RPCServer } = require('ocpp-rpc');

const server = new RPCServer({ protocols: ['ocpp1.6'], strictMode: true });
let transactions = 0;
const now = () => new Date().toISOString();

server.auth((accept) => accept());
server.on('client', (client) => {
  client.handle('BootNotification', () => ({ status: 'Accepted', interval: 300, currentTime: now() }));
  client.handle('Heartbeat', () => ({ currentTime: now() }));
  client.handle('StatusNotification', () => ({}));
  client.handle('Authorize', () => ({ idTagInfo: { status: 'Accepted' } }));
  client.handle('StartTransaction', () => ({ transactionId: ++transactions, idTagInfo: { status: 'Accepted' } }));
  client.handle('MeterValues', () => ({}));
  client.handle('StopTransaction', () => ({ idTagInfo: { status: 'Accepted' } }));
});
server.listen(Number(process.argv[2]), '127.0.0.1');
