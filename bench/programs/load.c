/* An HTTP/1.1 load of one thread: many connections, every answer read to its end, every failure counted by its kind.

   load TARGET CONNECTIONS MODE SECONDS THINK_MS REQUEST [poll] [settle]
     TARGET    unix:PATH, tcp:PORT or tls:PORT (loopback; tls where it was compiled with -DTLS, and without verification)
     MODE      keep (requests on kept connections) or new (a connection for each request)
     SECONDS   how long; 0: until TERM. Then what is under way is waited for.
     THINK_MS  pause before each request, random from 0 to this
     REQUEST   file with the request as it is sent
     poll      never sleep: who answers then pays for no wake-up (and give way to whoever else is on this core)
     settle    first have every connection answered once, print "settled" in a line, and wait for USR1: what connecting
               and handshakes cost is then over, and SECONDS and all counts begin
   Prints {"seconds", "requests", "in_time" (answered before the seconds were over), "connections", "failed": {…}, "p50_us", "p99_us", "p999_us", "longest_us", "last": "…"}

   Failed: refused (connect), reset, truncated (end before the whole answer), status (not 200), timeout (15 s).
   A kept connection that the server closes while no request is under way is opened again and is no failure. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

#define BUFFER 65536
#define HEAD 8192
#define TIMEOUT_NS 15000000000ll
#define SAMPLES (1 << 22)

enum state { IDLE, CONNECTING, WAITING };
enum failure { REFUSED, RESET, TRUNCATED, STATUS, TIMEOUT, KINDS };
static const char *const names[KINDS] = {"refused", "reset", "truncated", "status", "timeout"};

struct client {
    int fd;
    enum state state;
    int64_t due, began;
    char head[HEAD];
    size_t head_size;
    long body_left; /* -1: the head is not whole yet */
    int close_after;
    int settled;
#ifdef TLS
    SSL *tls;
#endif
};

static volatile sig_atomic_t stopped;
static union {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in inet;
} target;
static socklen_t target_size;
static int epoll, keep, under_way, settled;
static char request[BUFFER], buffer[BUFFER], last[256] = "";
static size_t request_size;
static long requests, in_time, connections, failed[KINDS], think_ns;
static uint32_t *samples;
static long sampled;
static int64_t longest, deadline;

/* Plain sockets, or TLS above them: the same three calls, with errno as recv and send have it. */
#ifdef TLS
static SSL_CTX *context;

static int tls_result(struct client *c, int result)
{
    int error = SSL_get_error(c->tls, result);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : errno ? errno : EPROTO;
    return -1;
}

/* 1: ready to send; 0: wait for more; -1: failed. */
static int shake(struct client *c)
{
    if (!context)
        return 1;
    if (!c->tls) {
        c->tls = SSL_new(context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(c->tls);
    if (result == 1)
        return 1;
    return tls_result(c, result) < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t take_bytes(struct client *c, char *data, size_t size)
{
    if (!context)
        return recv(c->fd, data, size, 0);
    ERR_clear_error();
    errno = 0;
    int result = SSL_read(c->tls, data, (int)size);
    return result > 0 ? result : tls_result(c, result);
}

static ssize_t give_bytes(struct client *c, const char *data, size_t size)
{
    if (!context)
        return send(c->fd, data, size, MSG_NOSIGNAL);
    ERR_clear_error();
    errno = 0;
    int result = SSL_write(c->tls, data, (int)size);
    return result > 0 ? result : tls_result(c, result);
}
#else
static int shake(struct client *c)
{
    (void)c;
    return 1;
}

static ssize_t take_bytes(struct client *c, char *data, size_t size)
{
    return recv(c->fd, data, size, 0);
}

static ssize_t give_bytes(struct client *c, const char *data, size_t size)
{
    return send(c->fd, data, size, MSG_NOSIGNAL);
}
#endif

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void drop(struct client *c)
{
#ifdef TLS
    SSL_free(c->tls);
    c->tls = NULL;
#endif
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void rest(struct client *c, int64_t now)
{
    under_way -= c->state != IDLE;
    c->state = IDLE;
    c->due = now + (think_ns ? random() % think_ns : 0);
}

static void fail(struct client *c, enum failure kind, const char *why)
{
    failed[kind]++;
    snprintf(last, sizeof last, "%s: %s", names[kind], why);
    drop(c);
    rest(c, now_ns() + 1000000);
}

static void ask(struct client *c)
{
    c->head_size = 0;
    c->body_left = -1;
    c->state = WAITING;
    ssize_t sent = give_bytes(c, request, request_size);
    if (sent != (ssize_t)request_size)
        fail(c, RESET, sent < 0 ? strerror(errno) : "a request that was taken in part");
}

static void begin(struct client *c, int64_t now)
{
    c->began = now;
    under_way++;
    c->state = CONNECTING;
    if (c->fd >= 0) {
        ask(c);
        return;
    }
    c->fd = socket(target.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("socket");
        exit(1);
    }
    int one = 1;
    if (target.any.sa_family == AF_INET)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    connections++;
    if (connect(c->fd, &target.any, target_size) == 0) {
        if (shake(c) == 1)
            ask(c);
    } else if (errno != EINPROGRESS)
        fail(c, REFUSED, strerror(errno));
}

static void answered(struct client *c)
{
    int64_t now = now_ns(), took = now - c->began;
    if (strncmp(c->head, "HTTP/1.1 200", 12)) {
        c->head[64] = 0;
        fail(c, STATUS, strtok(c->head, "\r\n"));
        return;
    }
    settled += !c->settled;
    c->settled = 1;
    requests++;
    in_time += now <= deadline;
    if (took > longest)
        longest = took;
    samples[sampled++ % SAMPLES] = (uint32_t)(took > UINT32_MAX ? UINT32_MAX : took);
    if (!keep || c->close_after)
        drop(c);
    rest(c, now);
}

/* Takes what was read. Only answers with Content-Length are understood; the API gives no others here. */
static void take(struct client *c, const char *data, size_t size)
{
    if (c->body_left < 0) {
        size_t had = c->head_size, room = HEAD - 1 - had, count = size < room ? size : room;
        memcpy(c->head + had, data, count);
        c->head_size += count;
        c->head[c->head_size] = 0;
        char *end = strstr(c->head, "\r\n\r\n");
        if (!end) {
            if (c->head_size == HEAD - 1)
                fail(c, STATUS, "a head without an end");
            return;
        }
        size_t of_head = (size_t)(end + 4 - c->head) - had;
        *end = 0;
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        if (!length) {
            fail(c, STATUS, "an answer without a length");
            return;
        }
        c->close_after = strcasestr(c->head, "\r\nconnection: close") != NULL;
        c->body_left = atol(length + 17);
        size -= of_head;
    }
    c->body_left -= (long)size;
    if (c->body_left == 0)
        answered(c);
    else if (c->body_left < 0)
        fail(c, STATUS, "more than the answer");
}

static void ready(struct client *c, uint32_t events)
{
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        if (!(events & (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            fail(c, REFUSED, strerror(error));
            return;
        }
        int shaken = shake(c);
        if (shaken < 0)
            fail(c, RESET, "in the handshake");
        else if (shaken)
            ask(c);
        return;
    }
    while (c->fd >= 0) {
        ssize_t count = take_bytes(c, buffer, sizeof buffer);
        if (count < 0 && errno == EAGAIN)
            return;
        if (c->state == IDLE && count <= 0) {
            drop(c);
            return;
        }
        if (count < 0)
            fail(c, RESET, strerror(errno));
        else if (count == 0)
            fail(c, TRUNCATED, c->head_size ? "in an answer" : "before an answer");
        else
            take(c, buffer, (size_t)count);
        /* Most answers come whole: asking again for the end of them would cost a call each. */
        if (count > 0 && count < (ssize_t)sizeof buffer && c->state == IDLE)
            return;
    }
}

static int by_value(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static void set_target(const char *text)
{
    if (!strncmp(text, "unix:", 5)) {
        target.local.sun_family = AF_UNIX;
        snprintf(target.local.sun_path, sizeof target.local.sun_path, "%s", text + 5);
        target_size = sizeof target.local;
    } else {
        target.inet.sin_family = AF_INET;
        target.inet.sin_port = htons((uint16_t)atoi(text + 4));
        target.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        target_size = sizeof target.inet;
        if (!strncmp(text, "tls:", 4)) {
#ifdef TLS
            context = SSL_CTX_new(TLS_client_method());
#else
            fprintf(stderr, "cannot speak TLS: compiled without it\n");
            exit(1);
#endif
        }
    }
}

/* Every connection stands, or one cannot, and nothing is under way: say so, and go on when whoever reads our CPU is ready. */
static void wait_for_go(const sigset_t *go)
{
    puts("settled");
    fflush(stdout);
    sigtimedwait(go, NULL, &(struct timespec){.tv_sec = TIMEOUT_NS / 1000000000});
    requests = in_time = sampled = 0;
    longest = 0;
}

int main(int argc, char **argv)
{
    int poll = 0, settling = 0;
    if (argc < 7)
        return 2;
    for (int i = 7; i < argc; i++) {
        poll |= !strcmp(argv[i], "poll");
        settling |= !strcmp(argv[i], "settle");
    }
    set_target(argv[1]);
    int count = atoi(argv[2]);
    keep = !strcmp(argv[3], "keep");
    double seconds = atof(argv[4]);
    think_ns = atol(argv[5]) * 1000000;
    FILE *file = fopen(argv[6], "r");
    if (!file)
        return 1;
    request_size = fread(request, 1, sizeof request, file);
    fclose(file);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t go;
    sigemptyset(&go);
    sigaddset(&go, SIGUSR1);
    sigprocmask(SIG_BLOCK, &go, NULL);
    samples = malloc(SAMPLES * sizeof *samples);
    struct client *clients = calloc((size_t)count, sizeof *clients);
    epoll = epoll_create1(EPOLL_CLOEXEC);

    int64_t started = now_ns(), swept = 0, now;
    deadline = seconds > 0 ? started + (int64_t)(seconds * 1e9) : INT64_MAX;
    for (int i = 0; i < count; i++) {
        clients[i].fd = -1;
        rest(&clients[i], started);
    }
    for (;;) {
        now = now_ns();
        int hold = settling && (settled == count || stopped || now - started > TIMEOUT_NS);
        if (hold && !under_way) {
            settling = hold = 0;
            wait_for_go(&go);
            now = started = now_ns();
            deadline = seconds > 0 ? started + (int64_t)(seconds * 1e9) : INT64_MAX;
        }
        int over = stopped || (!settling && now >= deadline);
        if (over && !under_way)
            break;
        /* With a pause there is somebody to look after every millisecond; without, each answer brings its successor. */
        if (!think_ns || now - swept >= 1000000) {
            swept = now;
            for (int i = 0; i < count; i++) {
                struct client *c = &clients[i];
                if (c->state == IDLE && !over && !hold && c->due <= now)
                    begin(c, now);
                else if (c->state != IDLE && now - c->began > TIMEOUT_NS)
                    fail(c, TIMEOUT, c->state == CONNECTING ? "connecting" : "waiting for the answer");
            }
        }
        struct epoll_event events[256];
        int found = epoll_wait(epoll, events, 256, poll ? 0 : think_ns || over ? 1 : 100);
        if (!found && poll)
            sched_yield();
        for (int i = 0; i < found; i++)
            ready(events[i].data.ptr, events[i].events);
    }
    int64_t ended = now < deadline ? now : deadline;
    long kept = sampled < SAMPLES ? sampled : SAMPLES;
    qsort(samples, (size_t)kept, sizeof *samples, by_value);
    printf("{\"seconds\": %.6f, \"requests\": %ld, \"in_time\": %ld, \"connections\": %ld, \"failed\": {",
           (double)(ended - started) / 1e9, requests, in_time, connections);
    for (int kind = 0; kind < KINDS; kind++)
        printf("%s\"%s\": %ld", kind ? ", " : "", names[kind], failed[kind]);
    printf("}, \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"longest_us\": %.1f, \"last\": \"%s\"}\n",
           kept ? samples[kept / 2] / 1e3 : 0.0, kept ? samples[kept * 99 / 100] / 1e3 : 0.0,
           kept ? samples[kept * 999 / 1000] / 1e3 : 0.0, (double)longest / 1e3, last);
    return 0;
}
