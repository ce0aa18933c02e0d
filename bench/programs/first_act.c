/* An app whose first act is to say when it began: CLOCK_MONOTONIC in nanoseconds, 8 bytes, to the FIFO given.
   Then it waits for its end, as an app does, or for that of whoever started it.  first_act [FIFO] */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc > 1) {
        uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        int fd = open(argv[1], O_WRONLY);
        if (fd < 0 || write(fd, &ns, sizeof ns) != sizeof ns)
            return 1;
        close(fd);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        pause();
}
