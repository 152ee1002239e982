/* A machine whose disk, network and scheduler take their time, each as it likes: `make slow` runs the tests on it.
 *
 * Loaded before libc (LD_PRELOAD) into the tests, the binary and whatever they start. Tests that take what was said for what
 * is stored, or count on something to be quick, fail here and not one night in CI. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* How long at most in milliseconds, and how often in percent: the environment may say otherwise, 0 is never. */
enum { DISK_MS = 60, DISK_PERCENT = 50, WAKE_MS = 10, WAKE_PERCENT = 15, SEND_MS = 5, SEND_PERCENT = 20 };

static int setting(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static uint32_t draw(void) {
    static __thread uint64_t state;
    if (!state) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        state = (uint64_t)now.tv_nsec * 6364136223846793005ULL + (uint64_t)(uintptr_t)&state + (uint64_t)getpid();
    }
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(state >> 33);
}

static void nap(const char *name, int longest_ms, int percent) {
    longest_ms = setting(name, longest_ms);
    if (longest_ms > 0 && (int)(draw() % 100) < percent) {
        long us = (long)(draw() % ((uint32_t)longest_ms * 1000));
        struct timespec time = {us / 1000000, us % 1000000 * 1000};
        nanosleep(&time, NULL);
    }
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) {
    nap("SLOW_DISK_MS", DISK_MS, DISK_PERCENT);
    return NEXT(fsync)(file);
}

int fdatasync(int file) {
    nap("SLOW_DISK_MS", DISK_MS, DISK_PERCENT);
    return NEXT(fdatasync)(file);
}

int epoll_wait(int poll, struct epoll_event *events, int most, int timeout) {
    int found = NEXT(epoll_wait)(poll, events, most, timeout);
    if (found > 0) nap("SLOW_WAKE_MS", WAKE_MS, WAKE_PERCENT);
    return found;
}

ssize_t send(int socket, const void *bytes, size_t length, int flags) {
    nap("SLOW_SEND_MS", SEND_MS, SEND_PERCENT);
    return NEXT(send)(socket, bytes, length, flags);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
    nap("SLOW_SEND_MS", SEND_MS, SEND_PERCENT);
    return NEXT(writev)(file, pieces, count);
}
