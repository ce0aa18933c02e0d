// Node.js as an upstream that bears witness: what it has read in full, and what it could not read.
// GET /__seen on the same port tells it and forgets it.
import http from "node:http";

let seen = [];
let refused = [];
const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("error", () => {});
  request.on("end", () => {
    if (request.url === "/__seen") {
      response.end(JSON.stringify({ seen, refused }));
      seen = [];
      refused = [];
      return;
    }
    seen.push([request.method, request.url, Buffer.concat(parts).toString("latin1")]);
    response.end(request.url);
  });
});
server.keepAliveTimeout = 60_000;
server.on("clientError", (error, socket) => {
  // A connection that ends within a message is no message at all.
  if (error.code !== "ECONNRESET" && error.code !== "HPE_INVALID_EOF_STATE") refused.push(String(error.code));
  socket.destroy();
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
