"""Pillion's local API from Python, with the standard library alone. Run it under Pillion: pillion run -- python3 client.py"""

import http.client
import json
import os
import urllib.parse

SERVER = urllib.parse.urlsplit(os.environ["PILLION_URL"]).netloc
TOKEN = os.environ["PILLION_TOKEN"]
KEY = "/v1/config/clients/visits"
SERVICE = "/v1/services/printer"


def start(method, path, body=None, **headers):
    """Send a request on a connection of its own; return the answer, whose body can be read as it comes."""
    fields = {"Authorization": f"Bearer {TOKEN}"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, dict):
        body = json.dumps(body)
        fields["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(SERVER, timeout=30)
    connection.request(method, path, body, fields)
    return connection.getresponse()


def ask(method, path, body=None, **headers):
    """Send a request; return its status, its entity tag, and its body decoded from JSON."""
    with start(method, path, body, **headers) as answer:
        text = answer.read()
        return answer.status, answer.headers["ETag"], json.loads(text) if text else None


def expect(status, *wanted):
    if status not in wanted:
        raise SystemExit(f"unexpected status {status}")


def write_next(tag):
    """Write the next number, if nobody has written since `tag`; read again and try again if somebody has."""
    while True:
        status, now, item = ask("GET", KEY)
        expect(status, 200)
        number = item["value"] + 1
        status, written, _ = ask("PUT", KEY, {"value": number}, If_Match=tag)
        if status != 412:
            expect(status, 200)
            print(f"write: {number}")
            return written
        print("write: somebody was faster, again")
        tag = now


status, _, _ = ask("GET", KEY)
expect(status, 404)
print("read: nothing there")

# Only if there is nothing yet.
status, first, _ = ask("PUT", KEY, {"value": 1}, If_None_Match="*")
expect(status, 201)
print("write: 1")
write_next(first)
newest = write_next(first)  # with a tag that is not the newest any more

status, _, item = ask("GET", KEY)
expect(status, 200)
print(f"read: {item['value']}")

# Server-sent events: what is there first, then `current`, then every change.
with start("GET", "/v1/config?prefix=clients/", Accept="text/event-stream") as stream:
    expect(stream.status, 200)
    event, current = "", False
    for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
            if event == "current":
                current = True
                newest = write_next(newest)
        elif name == "data" and current and event == "put":
            print(f"watch: {json.loads(value)['value']}")
            break

instance = {"address": "127.0.0.1", "port": 9100, "tags": ["laser"]}
status, _, _ = ask("PUT", f"{SERVICE}/instances/one", instance)
expect(status, 200, 201)
print("register: printer")

status, _, service = ask("GET", SERVICE)
expect(status, 200)
for one in service["instances"]:
    print(f"resolve: {one['address']}:{one['port']} {one['status']}")

status, _, _ = ask("DELETE", f"{SERVICE}/instances/one")
expect(status, 204)
print("unregister: printer")

status, _, _ = ask("POST", "/v1/watchdog")
expect(status, 200, 202, 204)
print("heartbeat: taken")

status, _, taken = ask("POST", "/v1/logs", "INFO one line\nWARN another\n", Content_Type="text/plain")
expect(status, 202)
print(f"log: {taken['records']}")
