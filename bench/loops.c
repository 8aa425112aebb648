// SPDX-License-Identifier: Apache-2.0
// Loops of one system call each, timed from inside: `loops NAME COUNT` prints nanoseconds an operation.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int listener = -1;
static struct sockaddr_in here = {.sin_family = AF_INET};
static char page[4096];
static int file = -1;

static void listen_on_loopback(void) {
    socklen_t length = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024) ||
        getsockname(listener, (struct sockaddr *)&here, &length))
        exit(3);
}

static void open_scratch(void) {
    char name[] = "/tmp/intact-loops-XXXXXX";
    file = mkstemp(name);
    unlink(name);
}

static void getppid_once(void) { syscall(SYS_getppid); }

static void open_once(void) { close(open("/etc/hostname", O_RDONLY | O_CLOEXEC)); }

static void read_once(void) {
    if (pread(file, page, 1, 0) < 0)
        exit(3);
}

static void write_once(void) {
    if (pwrite(file, page, sizeof page, 0) != sizeof page)
        exit(3);
}

static void exec_once(void) {
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static void fork_exec_once(void) {
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static void connect_once(void) {
    struct linger reset = {1, 0}; // no TIME_WAIT: the loop would run out of ports
    int peer, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&here, sizeof here))
        exit(3);
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    close(peer);
}

static const struct {
    const char *name;
    void (*once)(void);
    void (*prepare)(void);
} loops[] = {
    {"getppid", getppid_once, NULL},          {"open", open_once, NULL},
    {"read", read_once, open_scratch},        {"write", write_once, open_scratch},
    {"exec", exec_once, NULL},                {"fork_exec", fork_exec_once, NULL},
    {"connect", connect_once, listen_on_loopback},
};

int main(int argc, char **argv) {
    struct timespec a, b;
    long i, count = argc > 2 ? atol(argv[2]) : 0;
    unsigned n;
    for (n = 0; argc > 1 && n < sizeof loops / sizeof *loops; n++) {
        if (strcmp(argv[1], loops[n].name))
            continue;
        if (loops[n].prepare)
            loops[n].prepare();
        for (i = 0; i < count / 20 + 1; i++) // warm
            loops[n].once();
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (i = 0; i < count; i++)
            loops[n].once();
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%.1f\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / count);
        return 0;
    }
    fprintf(stderr, "loops NAME COUNT; %s\n", strerror(EINVAL));
    return 2;
}
