/* An app that writes numbered lines at a rate, one write(2) each, and times every write.

   writer GO REPORT RATE LINES BYTES KIND
     GO     a FIFO: it begins when it has read a byte of it
     REPORT where it reports
     RATE   lines a second; 0: as fast as they are taken
     LINES  how many; 0: until TERM
     BYTES  length of a line with its newline
     KIND   text (time and level before the number) or json
   When done it writes REPORT (by rename), and waits for TERM; it ends with whoever started it:
     {"lines", "bytes", "seconds", "longest_us", "over_50ms", "started_ns", "ended_ns"} */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 1000000

static volatile sig_atomic_t stopped;

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

static size_t head(char *line, size_t size, int json, long number)
{
    static char stamp[32];
    static time_t last;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != last) {
        struct tm parts;
        last = now.tv_sec;
        gmtime_r(&last, &parts);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    const char *form = json
        ? "{\"time\":\"%s.%03ldZ\",\"level\":\"info\",\"n\":%ld,\"message\":\"served\",\"path\":\"/"
        : "%s.%03ldZ INFO served n=%ld path=/";
    return (size_t)snprintf(line, size, form, stamp, now.tv_nsec / 1000000, number);
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    long rate = atol(argv[3]), lines = atol(argv[4]), bytes = atol(argv[5]);
    int json = !strcmp(argv[6], "json");
    size_t tail = json ? 3 : 1;
    char *line = malloc((size_t)bytes + 256);
    struct sigaction action = {.sa_handler = stop};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    char go;
    int fd = open(argv[1], O_RDONLY);
    if (fd < 0 || read(fd, &go, 1) != 1)
        return 1;
    close(fd);

    int64_t started = now_ns(), longest = 0;
    long done = 0, over = 0;
    while (!stopped && (!lines || done < lines)) {
        int64_t before = now_ns();
        if (rate) {
            long due = (long)((double)(before - started) * (double)rate / 1e9);
            if (done >= due) {
                struct timespec rest = {0, TICK_NS};
                nanosleep(&rest, NULL);
                continue;
            }
        }
        size_t length = head(line, 256, json, done);
        for (; length + tail < (size_t)bytes; length++)
            line[length] = (char)('a' + (length * 7 + (size_t)done) % 26);
        memcpy(line + length, json ? "\"}\n" : "\n", tail);
        length += tail;
        before = now_ns();
        size_t sent = 0;
        while (sent < length && !stopped) {
            ssize_t count = write(1, line + sent, length - sent);
            if (count < 0)
                break;
            sent += (size_t)count;
        }
        if (sent < length)
            break;
        int64_t took = now_ns() - before;
        if (took > longest)
            longest = took;
        over += took > 50000000;
        done++;
    }
    int64_t ended = now_ns();

    char *name;
    if (asprintf(&name, "%s.new", argv[2]) < 0)
        return 1;
    FILE *report = fopen(name, "w");
    if (!report)
        return 1;
    fprintf(report,
            "{\"lines\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"longest_us\": %.1f, \"over_50ms\": %ld, "
            "\"started_ns\": %lld, \"ended_ns\": %lld}\n",
            done, done * bytes, (double)(ended - started) / 1e9, (double)longest / 1e3, over,
            (long long)started, (long long)ended);
    fclose(report);
    if (rename(name, argv[2]))
        return 1;
    while (!stopped)
        pause();
    return 0;
}
