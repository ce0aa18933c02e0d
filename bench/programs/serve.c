/* An HTTP/1.1 server of one thread that costs little: the upstream behind whatever is measured.

   serve [poll]
     poll      never sleep: who sends here then pays for no wake-up (and gives way to whoever else is on this core)
   Prints the port that it has on loopback, and serves until TERM. `GET /N` is answered with N bytes and four fields more,
   on kept connections. Only requests without a body are understood. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD 16384
#define BODY (1 << 20)

struct client {
    int fd;
    char in[HEAD];
    size_t had;
    char out[512];
    size_t out_size, out_sent;
    long body_left;
};

static char body[BODY];

static void drop(struct client *c)
{
    close(c->fd);
    free(c);
}

/* Returns 1 when everything is sent, 0 when the socket is full, -1 when the peer has gone. */
static int push(struct client *c)
{
    while (c->out_sent < c->out_size || c->body_left > 0) {
        size_t piece = c->body_left < BODY ? (size_t)c->body_left : BODY;
        struct iovec parts[2] = {{c->out + c->out_sent, c->out_size - c->out_sent}, {body, piece}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t sent = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN ? 0 : -1;
        size_t of_head = c->out_size - c->out_sent;
        if ((size_t)sent < of_head)
            of_head = (size_t)sent;
        c->out_sent += of_head;
        c->body_left -= sent - (ssize_t)of_head;
    }
    return 1;
}

/* Answers the first request in the buffer. Returns what `push` does, or 0 when there is no whole one. */
static int answer(struct client *c)
{
    char *end = memmem(c->in, c->had, "\r\n\r\n", 4);
    if (!end)
        return c->had == HEAD ? -1 : 0;
    size_t size = (size_t)(end + 4 - c->in);
    char *path = memchr(c->in, '/', size);
    if (!path)
        return -1;
    c->body_left = atol(path + 1);
    c->out_sent = 0;
    c->out_size = (size_t)snprintf(c->out, sizeof c->out,
        "HTTP/1.1 200 OK\r\nServer: serve\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\nContent-Length: %ld\r\n\r\n",
        c->body_left);
    memmove(c->in, c->in + size, c->had - size);
    c->had -= size;
    return push(c);
}

/* Returns 0 when the peer has gone. */
static int ready(struct client *c, unsigned events)
{
    if (c->out_sent < c->out_size || c->body_left > 0) {
        int done = push(c);
        if (done <= 0)
            return done == 0;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !c->had)
        return 1;
    for (;;) {
        ssize_t count = recv(c->fd, c->in + c->had, HEAD - c->had, 0);
        if (count < 0 && errno == EAGAIN)
            return 1;
        if (count <= 0)
            return 0;
        c->had += (size_t)count;
        int done;
        do
            done = answer(c);
        while (done == 1 && c->had);
        if (done < 0)
            return 0;
        if (c->body_left > 0 || c->out_sent < c->out_size)
            return 1;
        if (c->had < HEAD)
            return 1; /* a short read: the rest comes with an event of its own */
    }
}

int main(int argc, char **argv)
{
    int poll = argc > 1 && !strcmp(argv[1], "poll");
    signal(SIGPIPE, SIG_IGN);
    memset(body, 'x', sizeof body);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) {
        perror("cannot listen");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[256];
        int found = epoll_wait(epoll, events, 256, poll ? 0 : -1);
        if (!found)
            sched_yield();
        for (int i = 0; i < found; i++) {
            struct client *c = events[i].data.ptr;
            if (c) {
                if (!ready(c, events[i].events))
                    drop(c);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                c = calloc(1, sizeof *c);
                c->fd = fd;
                event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}
