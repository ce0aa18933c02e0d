#!/bin/sh
# Pillion's local API from a shell, with curl. Run it under Pillion: pillion run -- sh client.sh
# PILLION_CLIENT=socket goes through the Unix socket, where the kernel says who is there and no token is needed.
set -eu

key=/v1/config/clients/visits
service=/v1/services/printer
answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT

# call METHOD PATH [curl's arguments]: leaves the body in $answer/body and the head in $answer/head, and sets $status.
call() {
    method=$1 path=$2
    shift 2
    if [ "${PILLION_CLIENT:-}" = socket ]; then
        set -- --unix-socket "$PILLION_SOCKET" "$@" "http://pillion$path"
    else
        set -- -H "Authorization: Bearer $PILLION_TOKEN" "$@" "$PILLION_URL$path"
    fi
    status=$(curl -sS --max-time 30 -X "$method" -D "$answer/head" -o "$answer/body" -w '%{http_code}' "$@")
}

json() { # json METHOD PATH BODY [curl's arguments]
    method=$1 path=$2 body=$3
    shift 3
    call "$method" "$path" -H 'Content-Type: application/json' -d "$body" "$@"
}

expect() {
    for wanted; do
        [ "$status" != "$wanted" ] || return 0
    done
    echo "unexpected status $status" >&2
    cat "$answer/body" >&2
    exit 1
}

tag() { sed -n 's/^[Ee][Tt][Aa][Gg]: *\(.*[^[:space:]]\).*/\1/p' "$answer/head"; }
member() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p"; } # good for one small object in one line

# Writes the next number, if nobody has written since the tag; reads again and tries again if somebody has.
write_next() {
    since=$1
    while :; do
        call GET "$key"
        expect 200
        now=$(tag)
        number=$(($(member value <"$answer/body") + 1))
        json PUT "$key" "{\"value\": $number}" -H "If-Match: $since"
        [ "$status" = 412 ] || break
        echo "write: somebody was faster, again"
        since=$now
    done
    expect 200
    echo "write: $number"
}

call GET "$key"
expect 404
echo "read: nothing there"

json PUT "$key" '{"value": 1}' -H 'If-None-Match: *' # only if there is nothing yet
expect 201
first=$(tag)
echo "write: 1"
write_next "$first"
write_next "$first" # with a tag that is not the newest any more
newest=$(tag)

call GET "$key"
expect 200
echo "read: $(member value <"$answer/body")"

# Server-sent events: what is there first, then `current`, then every change.
mkfifo "$answer/stream"
if [ "${PILLION_CLIENT:-}" = socket ]; then
    curl -sSN --unix-socket "$PILLION_SOCKET" -H 'Accept: text/event-stream' \
        'http://pillion/v1/config?prefix=clients/' >"$answer/stream" &
else
    curl -sSN -H "Authorization: Bearer $PILLION_TOKEN" -H 'Accept: text/event-stream' \
        "$PILLION_URL/v1/config?prefix=clients/" >"$answer/stream" &
fi
event=
current=
while read -r name value; do
    case $name in
    event:)
        event=$value
        if [ "$event" = current ]; then
            current=yes
            write_next "$newest"
        fi
        ;;
    data:)
        if [ -n "$current" ] && [ "$event" = put ]; then
            echo "watch: $(echo "$value" | member value)"
            break
        fi
        ;;
    esac
done <"$answer/stream"
kill $! 2>/dev/null || true

json PUT "$service/instances/one" '{"address": "127.0.0.1", "port": 9100, "tags": ["laser"]}'
expect 200 201
echo "register: printer"

call GET "$service"
expect 200
echo "resolve: $(member address <"$answer/body"):$(member port <"$answer/body") $(member status <"$answer/body")"

call DELETE "$service/instances/one"
expect 204
echo "unregister: printer"

call POST /v1/watchdog
expect 200 202 204
echo "heartbeat: taken"

printf 'INFO one line\nWARN another\n' >"$answer/lines"
call POST /v1/logs -H 'Content-Type: text/plain' --data-binary "@$answer/lines"
expect 202
echo "log: $(member records <"$answer/body")"
