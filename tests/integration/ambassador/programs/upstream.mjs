// An upstream in Node.js for tests: what it is asked, it says; and it speaks whatever of HTTP/1.1 its path names.
import http from 'node:http';
import { createHash } from 'node:crypto';

const paths = {
  // What has arrived, as JSON: the head as it came, the body by length and digest, trailers.
  '/echo': (request, response) => {
    const digest = createHash('sha256');
    let length = 0;
    request.on('data', (piece) => { digest.update(piece); length += piece.length; });
    request.on('end', () => {
      const { method, url, httpVersion, rawHeaders, rawTrailers } = request;
      const sha256 = digest.digest('hex');
      const text = JSON.stringify({ method, url, httpVersion, rawHeaders, rawTrailers, length, sha256 });
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(text);
    });
  },
  '/cookies': (request, response) => {
    response.writeHead(200, [['Set-Cookie', 'a=1'], ['X-Between', 'b'], ['Set-Cookie', 'c=3']].flat());
    response.end('cookies');
  },
  '/trailers': (request, response) => {
    response.writeHead(200, { trailer: 'x-sum' });
    response.write('one');
    response.write('two');
    response.addTrailers({ 'x-sum': '2' });
    response.end();
  },
  '/hops': (request, response) => {
    response.writeHead(200, { connection: 'keep-alive, x-mine', 'x-mine': 'no', 'keep-alive': 'timeout=7', 'x-yours': 'yes' });
    response.end('hops');
  },
  '/204': (request, response) => { response.writeHead(204); response.end(); },
  '/304': (request, response) => { response.writeHead(304, { etag: '"a"', 'content-length': '5' }); response.end(); },
  '/length': (request, response) => { response.writeHead(200, { 'content-length': '5' }); response.end('12345'); },
  '/hints': (request, response) => {
    response.writeEarlyHints({ link: '</style.css>; rel=preload' });
    response.writeHead(200, { 'content-length': '2' });
    response.end('ok');
  },
  // As many mebibytes as the query says.
  '/large': async (request, response) => {
    response.writeHead(200);
    const piece = Buffer.alloc(1 << 20, 'x');
    for (let left = Number(new URL(request.url, 'http://a').searchParams.get('mib')); left; left--) {
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end();
  },
  // A piece now, and one more for each that arrives: both directions at once.
  '/both': (request, response) => {
    response.writeHead(200);
    response.write('>');
    request.on('data', (piece) => response.write(piece));
    request.on('end', () => response.end('<'));
  },
};

const server = http.createServer((request, response) => {
  const act = paths[request.url.split('?')[0]];
  if (act) return act(request, response);
  response.writeHead(404);
  response.end('no such path');
});
server.on('checkContinue', (request, response) => {
  if (request.url === '/refuses') {
    response.writeHead(417, { connection: 'close' });
    response.end('no');
    return;
  }
  response.writeContinue();
  server.emit('request', request, response);
});
server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => console.log(server.address().port));
