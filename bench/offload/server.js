// A Node.js app that serves its own files, as most do before there is anything in front of them: looked up, validated and read for each request.
// PORT and ROOT come from the environment; no packages.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const root = path.resolve(process.env.ROOT);
const types = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.bin': 'application/octet-stream' };
// What is longer is streamed.
const whole = 64 * 1024;

const server = http.createServer((request, response) => {
  const file = path.join(root, path.normalize(decodeURIComponent(request.url.split('?')[0])));
  if (request.url === '/healthz') return response.end('ok');
  if (!file.startsWith(root + path.sep)) return response.writeHead(404).end();
  fs.stat(file, (error, stat) => {
    if (error || !stat.isFile()) return response.writeHead(404).end();
    const etag = `W/"${stat.size.toString(16)}-${Math.trunc(stat.mtimeMs).toString(16)}"`;
    if (request.headers['if-none-match'] === etag) return response.writeHead(304).end();
    response.writeHead(200, {
      'content-type': types[path.extname(file)] || 'application/octet-stream',
      'content-length': stat.size, etag, 'last-modified': stat.mtime.toUTCString(), 'cache-control': 'max-age=3600',
    });
    if (stat.size > whole) return fs.createReadStream(file).on('error', () => response.destroy()).pipe(response);
    fs.readFile(file, (failed, data) => (failed ? response.destroy() : response.end(data)));
  });
});

server.keepAliveTimeout = 75000;
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
