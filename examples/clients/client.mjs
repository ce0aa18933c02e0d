// Pillion's local API from Node.js (18 or later), with what it brings along. Run it under Pillion: pillion run -- node client.mjs

const server = process.env.PILLION_URL;
const token = process.env.PILLION_TOKEN;
const key = "/v1/config/clients/visits";
const service = "/v1/services/printer";

function start(method, path, body, headers = {}) {
  const fields = { authorization: `Bearer ${token}`, ...headers };
  if (body !== undefined && typeof body !== "string") {
    body = JSON.stringify(body);
    fields["content-type"] = "application/json";
  }
  return fetch(server + path, { method, body, headers: fields });
}

async function ask(method, path, body, headers) {
  const answer = await start(method, path, body, headers);
  const text = await answer.text();
  return { status: answer.status, tag: answer.headers.get("etag"), item: text ? JSON.parse(text) : null };
}

function expect(answer, ...wanted) {
  if (!wanted.includes(answer.status)) throw new Error(`unexpected status ${answer.status}`);
  return answer;
}

// Writes the next number, if nobody has written since `tag`; reads again and tries again if somebody has.
async function writeNext(tag) {
  for (;;) {
    const now = expect(await ask("GET", key), 200);
    const number = now.item.value + 1;
    const written = await ask("PUT", key, { value: number }, { "if-match": tag });
    if (written.status !== 412) {
      expect(written, 200);
      console.log(`write: ${number}`);
      return written.tag;
    }
    console.log("write: somebody was faster, again");
    tag = now.tag;
  }
}

expect(await ask("GET", key), 404);
console.log("read: nothing there");

// Only if there is nothing yet.
const first = expect(await ask("PUT", key, { value: 1 }, { "if-none-match": "*" }), 201).tag;
console.log("write: 1");
await writeNext(first);
let newest = await writeNext(first); // with a tag that is not the newest any more

console.log(`read: ${expect(await ask("GET", key), 200).item.value}`);

// Server-sent events: what is there first, then `current`, then every change.
const stream = expect(await start("GET", "/v1/config?prefix=clients/", undefined, { accept: "text/event-stream" }), 200);
let rest = "";
let current = false;
watching: for await (const piece of stream.body.pipeThrough(new TextDecoderStream())) {
  const blocks = (rest + piece).split("\n\n");
  rest = blocks.pop();
  for (const block of blocks) {
    const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
    if (fields.event === "current") {
      current = true;
      newest = await writeNext(newest);
    } else if (current && fields.event === "put") {
      console.log(`watch: ${JSON.parse(fields.data).value}`);
      break watching; // which closes the stream
    }
  }
}

expect(await ask("PUT", `${service}/instances/one`, { address: "127.0.0.1", port: 9100, tags: ["laser"] }), 200, 201);
console.log("register: printer");

for (const one of expect(await ask("GET", service), 200).item.instances) {
  console.log(`resolve: ${one.address}:${one.port} ${one.status}`);
}

expect(await ask("DELETE", `${service}/instances/one`), 204);
console.log("unregister: printer");

expect(await ask("POST", "/v1/watchdog"), 200, 202, 204);
console.log("heartbeat: taken");

const lines = "INFO one line\nWARN another\n";
const taken = expect(await ask("POST", "/v1/logs", lines, { "content-type": "text/plain" }), 202).item;
console.log(`log: ${taken.records}`);
