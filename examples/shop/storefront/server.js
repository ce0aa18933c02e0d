// The shop's front: says what there is, and passes what is bought on to the orders service. The page itself, in public/, is no business of
// this program: the sidecar has an nginx in front of it.
// Plain Node.js, no packages. PORT comes from the environment, and so does where orders are taken: PILLION_UPSTREAM_ORDERS,
// the local port that the sidecar has for them, or else ORDERS_URL.
'use strict';

const http = require('node:http');

const port = Number(process.env.PORT || 3000);
const orders = process.env.PILLION_UPSTREAM_ORDERS || process.env.ORDERS_URL || 'http://127.0.0.1:3001';
const catalogue = new Map([
  ['kettle', { name: 'Kettle', cents: 3490 }],
  ['teapot', { name: 'Teapot', cents: 2150 }],
  ['cup', { name: 'Cup', cents: 890 }],
  ['tea', { name: 'Darjeeling', cents: 1290 }],
]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
let stopping = false;
// Why nothing can be ordered at the moment; the page says it.
let closed = '';
let served = 0;

// What the program says is JSON, what it serves is an access line: most services end up with such a mixture.
function log(level, msg, fields = {}) {
  console.log(JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields }));
}

function accessLine(request, status, startedMs) {
  const ms = (performance.now() - startedMs).toFixed(1);
  const id = request.headers['x-request-id'] || '-';
  console.log(`${request.socket.remoteAddress || '-'} - - [${new Date().toISOString()}] ` +
    `"${request.method} ${request.url} HTTP/${request.httpVersion}" ${status} ${ms}ms id=${id}`);
}

function callOrders(item, id) {
  return new Promise((resolve, reject) => {
    const call = http.request(`${orders}/orders`, {
      method: 'POST', agent, timeout: 5000,
      headers: { 'content-type': 'application/json', 'x-request-id': id },
    }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('error', reject);
      answer.on('end', () => {
        try {
          // An answer that is not of the orders service itself says in this field whose it is, and why.
          const reason = answer.headers['pillion-reason'] || '';
          resolve({ status: answer.statusCode, reason, body: JSON.parse(Buffer.concat(parts).toString()) });
        } catch (error) {
          reject(error);
        }
      });
    });
    call.on('timeout', () => call.destroy(new Error('orders did not answer within 5 s')));
    call.on('error', reject);
    call.end(JSON.stringify({ item }));
  });
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://shop');
  if (url.pathname === '/healthz') {
    return [stopping ? 503 : 200, { status: stopping ? 'stopping' : 'ok', served }];
  }
  if (url.pathname === '/catalogue' && request.method === 'GET') {
    const ordering = closed ? `closed for the moment: ${closed}` : 'open';
    return [200, { ordering, catalogue: Object.fromEntries(catalogue) }];
  }
  if (url.pathname === '/buy' && request.method === 'POST') {
    const item = url.searchParams.get('item') || '';
    const id = request.headers['x-request-id'] || 'none';
    if (!catalogue.has(item)) {
      log('warn', 'nobody sells this', { item, id });
      return [404, { error: `no such item: ${item}` }];
    }
    const order = await callOrders(item, id);
    if (order.reason !== closed) log('warn', 'ordering changes', { from: closed || 'open', to: order.reason || 'open' });
    closed = order.reason;
    if (closed) return [503, { error: 'nothing can be ordered at the moment', reason: closed }];
    if (order.status === 201) log('info', 'order placed', { id, item, order: order.body.order });
    else log('warn', 'order declined', { id, item, status: order.status, reason: order.body.error });
    return [order.status, order.body];
  }
  if (url.pathname === '/coupon' && request.method === 'POST') {
    try {
      return [200, { percent: JSON.parse(url.searchParams.get('code')).percent }];
    } catch (error) {
      // A stack trace over several lines, on stderr, as Node prints them.
      console.error(error.stack);
      return [400, { error: 'this is no coupon' }];
    }
  }
  return [404, { error: 'not found' }];
}

const server = http.createServer(async (request, response) => {
  const startedMs = performance.now();
  request.resume();
  let result;
  try {
    result = await answer(request, response);
  } catch (error) {
    console.error(error.stack);
    result = [502, { error: error.message }];
  }
  const [status, body] = result;
  served += 1;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body) + '\n');
  if (request.url !== '/healthz') accessLine(request, status, startedMs);
});

// A heartbeat from the event loop: one that hangs falls silent, and the sidecar restarts us.
if (process.env.PILLION_URL && process.env.WATCHDOG_USEC) {
  const headers = { authorization: `Bearer ${process.env.PILLION_TOKEN}` };
  const beat = () => http.request(`${process.env.PILLION_URL}/v1/watchdog`, { method: 'POST', agent, headers })
    .on('response', (answer) => answer.resume())
    .on('error', () => {})  // the next one is soon
    .end();
  setInterval(beat, Number(process.env.WATCHDOG_USEC) / 3000).unref();
  beat();
}

server.listen(port, '127.0.0.1', () => log('info', 'storefront is open', { port, orders, node: process.version }));

process.on('SIGTERM', () => {
  stopping = true;
  log('info', 'closing: no new customers', { served });
  server.close(() => {
    agent.destroy();
    log('info', 'closed', { served });
    process.exit(0);
  });
  server.closeIdleConnections();
});
