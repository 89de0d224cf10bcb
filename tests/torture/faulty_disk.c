/* A disk that breaks: loaded with LD_PRELOAD, it lets the calls on one file fail from the n-th on.
 *
 * FAULT_PATH   files whose path begins so (the database and its log)
 * FAULT_CALL   read | write | sync | reserve: which calls fail
 * FAULT_AFTER  how many of them succeed before
 * FAULT_ERRNO  what the others fail with
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long done;

static int fails(int fd, const char *call) {
    const char *path = getenv("FAULT_PATH"), *which = getenv("FAULT_CALL"), *after = getenv("FAULT_AFTER");
    char link[64], name[4096];
    ssize_t length;

    if (!path || !which || !after || strcmp(which, call) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, name, sizeof name - 1);
    if (length < 0) return 0;
    name[length] = 0;
    if (strncmp(name, path, strlen(path)) != 0) return 0;
    if (atomic_fetch_add(&done, 1) < atol(after)) return 0;
    errno = getenv("FAULT_ERRNO") ? atoi(getenv("FAULT_ERRNO")) : EIO;
    return 1;
}

#define REAL(type, name, ...)                                                        \
    static type (*real)(__VA_ARGS__);                                                \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *from, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return fails(fd, "write") ? -1 : real(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    return fails(fd, "write") ? -1 : real(fd, from, count, at);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return fails(fd, "write") ? -1 : real(fd, from, count, at);
}

ssize_t read(int fd, void *to, size_t count) {
    REAL(ssize_t, "read", int, void *, size_t);
    return fails(fd, "read") ? -1 : real(fd, to, count);
}

ssize_t pread(int fd, void *to, size_t count, off_t at) {
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    return fails(fd, "read") ? -1 : real(fd, to, count, at);
}

ssize_t pread64(int fd, void *to, size_t count, off64_t at) {
    REAL(ssize_t, "pread64", int, void *, size_t, off64_t);
    return fails(fd, "read") ? -1 : real(fd, to, count, at);
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return fails(fd, "sync") ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return fails(fd, "sync") ? -1 : real(fd);
}
