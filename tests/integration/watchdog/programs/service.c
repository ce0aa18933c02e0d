/* A service as one is written for systemd, with libsystemd. It knows nothing of Pillion. Usage: service BROKEN_FILE */
#include <stdint.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    uint64_t usec = 0;
    if (argc != 2 || sd_notify(0, "STATUS=starting") <= 0) return 2;
    if (sd_watchdog_enabled(0, &usec) <= 0) return 3;
    sd_notifyf(0, "READY=1\nMAINPID=%lu\nSTATUS=serving", (unsigned long) getpid());
    if (sd_notify_barrier(0, 5000000) <= 0) return 4;
    while (access(argv[1], F_OK) != 0) {
        struct timespec pause = {.tv_sec = usec / 3000000, .tv_nsec = (long) (usec / 3 % 1000000) * 1000};
        sd_notify(0, "WATCHDOG=1");
        nanosleep(&pause, 0);
    }
    for (;;) sleep(1);
}
