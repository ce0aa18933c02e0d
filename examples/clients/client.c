/* Pillion's local API from C, with sockets and nothing else.
 * cc -o client client.c && pillion run -- ./client
 */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define KEY "/v1/config/clients/visits"
#define SERVICE "/v1/services/printer"
#define JSON "Content-Type: application/json\r\n"

static char host[256], port[16];

struct answer {
    int status;
    char tag[256];
    char body[65536];
};

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* PILLION_URL is http://host:port, with brackets around an IPv6 address. */
static void read_url(void) {
    const char *url = getenv("PILLION_URL");
    if (url == NULL || getenv("PILLION_TOKEN") == NULL)
        fail("run it under Pillion: pillion run -- ./client");
    if (sscanf(url, "http://[%255[^]]]:%15[0-9]", host, port) != 2 &&
        sscanf(url, "http://%255[^:/]:%15[0-9]", host, port) != 2)
        fail("cannot read PILLION_URL: %s", url);
}

/* Sends a request on a connection of its own, and reads the answer's head. In HTTP/1.0 the answer ends with the
 * connection, and is never in chunks. `fields` are complete lines. */
static FILE *start(struct answer *answer, const char *method, const char *path, const char *fields, const char *body) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0)
        fail("cannot find %s: %s", host, gai_strerror(error));
    int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    struct timeval patience = {.tv_sec = 30};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        fail("cannot reach %s:%s: %s", host, port, strerror(errno));
    freeaddrinfo(found);

    const char *open = strchr(host, ':') ? "[" : "", *close = strchr(host, ':') ? "]" : "";
    /* What is read is buffered, what is written is not: one stream for each, as stdio wants it. */
    FILE *out = fdopen(dup(fd), "w"), *in = fdopen(fd, "r");
    if (out == NULL || in == NULL)
        fail("cannot open a stream: %s", strerror(errno));
    fprintf(out, "%s %s HTTP/1.0\r\nHost: %s%s%s:%s\r\nAuthorization: Bearer %s\r\n%s", method, path, open, host, close,
            port, getenv("PILLION_TOKEN"), fields);
    if (body != NULL)
        fprintf(out, "Content-Length: %zu\r\n", strlen(body));
    fprintf(out, "\r\n%s", body != NULL ? body : "");
    if (fclose(out) != 0)
        fail("cannot send: %s", strerror(errno));

    char line[8192];
    if (fgets(line, sizeof line, in) == NULL || sscanf(line, "HTTP/1.%*c %d", &answer->status) != 1)
        fail("no answer to %s %s", method, path);
    answer->tag[0] = '\0';
    while (fgets(line, sizeof line, in) != NULL && strcmp(line, "\r\n") != 0) {
        if (strncasecmp(line, "etag:", 5) == 0)
            sscanf(line + 5, " %255[^\r\n]", answer->tag);
    }
    return in;
}

static void ask(struct answer *answer, const char *method, const char *path, const char *fields, const char *body) {
    FILE *in = start(answer, method, path, fields, body);
    size_t length = fread(answer->body, 1, sizeof answer->body - 1, in);
    answer->body[length] = '\0';
    fclose(in);
}

static void expect(const struct answer *answer, int one, int other) {
    if (answer->status != one && answer->status != other)
        fail("unexpected status %d: %s", answer->status, answer->body);
}

/* The member `name` of a small object: a number, or a string without escapes. */
static const char *member(const char *text, const char *name, char *value, size_t size) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":", name);
    const char *at = strstr(text, wanted);
    if (at == NULL)
        fail("no %s in %s", name, text);
    at += strlen(wanted);
    at += strspn(at, " \"");
    snprintf(value, size, "%.*s", (int)strcspn(at, "\",}]"), at);
    return value;
}

/* Writes the next number, if nobody has written since `tag`; reads again and tries again if somebody has. Puts the new
 * tag into `written`. */
static void write_next(const char *tag, char *written, size_t size) {
    struct answer read, wrote;
    char since[256], value[64], fields[512], body[64];
    snprintf(since, sizeof since, "%s", tag);
    for (;;) {
        ask(&read, "GET", KEY, "", NULL);
        expect(&read, 200, 200);
        int number = atoi(member(read.body, "value", value, sizeof value)) + 1;
        snprintf(body, sizeof body, "{\"value\": %d}", number);
        snprintf(fields, sizeof fields, JSON "If-Match: %s\r\n", since);
        ask(&wrote, "PUT", KEY, fields, body);
        if (wrote.status != 412) {
            expect(&wrote, 200, 200);
            printf("write: %d\n", number);
            snprintf(written, size, "%s", wrote.tag);
            return;
        }
        printf("write: somebody was faster, again\n");
        snprintf(since, sizeof since, "%s", read.tag);
    }
}

static void watch(const char *newest) {
    struct answer answer;
    char line[8192], event[64] = "", value[64], tag[256];
    int current = 0;
    /* Server-sent events: what is there first, then `current`, then every change. */
    FILE *stream = start(&answer, "GET", "/v1/config?prefix=clients/", "Accept: text/event-stream\r\n", NULL);
    answer.body[0] = '\0';
    expect(&answer, 200, 200);
    while (fgets(line, sizeof line, stream) != NULL) {
        if (sscanf(line, "event: %63s", event) == 1) {
            if (strcmp(event, "current") == 0) {
                current = 1;
                write_next(newest, tag, sizeof tag);
            }
        } else if (current && strcmp(event, "put") == 0 && strncmp(line, "data: ", 6) == 0) {
            printf("watch: %s\n", member(line, "value", value, sizeof value));
            break;
        }
    }
    fclose(stream);
}

int main(void) {
    struct answer answer;
    char first[256], newest[256], value[3][64];
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_url();

    ask(&answer, "GET", KEY, "", NULL);
    expect(&answer, 404, 404);
    printf("read: nothing there\n");

    /* Only if there is nothing yet. */
    ask(&answer, "PUT", KEY, JSON "If-None-Match: *\r\n", "{\"value\": 1}");
    expect(&answer, 201, 201);
    snprintf(first, sizeof first, "%s", answer.tag);
    printf("write: 1\n");
    write_next(first, newest, sizeof newest);
    write_next(first, newest, sizeof newest); /* with a tag that is not the newest any more */

    ask(&answer, "GET", KEY, "", NULL);
    expect(&answer, 200, 200);
    printf("read: %s\n", member(answer.body, "value", value[0], sizeof value[0]));

    watch(newest);

    ask(&answer, "PUT", SERVICE "/instances/one", JSON, "{\"address\": \"127.0.0.1\", \"port\": 9100, \"tags\": [\"laser\"]}");
    expect(&answer, 200, 201);
    printf("register: printer\n");

    ask(&answer, "GET", SERVICE, "", NULL);
    expect(&answer, 200, 200);
    printf("resolve: %s:%s %s\n", member(answer.body, "address", value[0], sizeof value[0]),
           member(answer.body, "port", value[1], sizeof value[1]),
           member(answer.body, "status", value[2], sizeof value[2]));

    ask(&answer, "DELETE", SERVICE "/instances/one", "", NULL);
    expect(&answer, 204, 204);
    printf("unregister: printer\n");

    ask(&answer, "POST", "/v1/watchdog", "", "");
    expect(&answer, 200, 204);
    printf("heartbeat: taken\n");

    ask(&answer, "POST", "/v1/logs", "Content-Type: text/plain\r\n", "INFO one line\nWARN another\n");
    expect(&answer, 202, 202);
    printf("log: %s\n", member(answer.body, "records", value[0], sizeof value[0]));
    return 0;
}
