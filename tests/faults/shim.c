/*
 * Counts the calls of a process that change files below a folder, and kills it at one of them.
 *
 * Preloaded (LD_PRELOAD). `fault_arm(prefix, n, torn)` starts to count; call number n ends the
 * process by SIGKILL before it happens or, where `torn` is set and it is a write, after half of it.
 * Writes to mapped memory are not calls: kills at random times are for those.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char prefix[PATH_MAX];
static size_t prefix_length;
static long armed_at, calls;
static int torn;

#define REAL(type, name, ...)                                    \
  static type (*real)(__VA_ARGS__);                              \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void fault_arm(const char *folder, long at, int half) {
  strncpy(prefix, folder, sizeof prefix - 1);
  prefix_length = strlen(prefix);
  armed_at = at;
  torn = half;
  calls = 0;
}

long fault_calls(void) { return calls; }

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

static int is_below(const char *path) {
  return prefix_length && !strncmp(path, prefix, prefix_length);
}

static int is_fd_below(int fd) {
  char link[64], path[PATH_MAX];
  if (!prefix_length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_below(path);
}

static int is_at_below(int folder, const char *path) {
  if (path[0] == '/' || folder == AT_FDCWD) return is_below(path);
  return is_fd_below(folder);
}

/* Whether this call is to be torn: the caller does half of it and dies. */
static int reached(int watched) {
  if (!watched || __sync_add_and_fetch(&calls, 1) != armed_at) return 0;
  if (!torn) die();
  return 1;
}

static void before(int watched) {
  if (reached(watched)) die();
}

ssize_t write(int fd, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (reached(is_fd_below(fd))) { real(fd, data, size / 2); die(); }
  return real(fd, data, size);
}

#define PWRITE(name)                                                         \
  ssize_t name(int fd, const void *data, size_t size, off_t at) {            \
    REAL(ssize_t, #name, int, const void *, size_t, off_t);                  \
    if (reached(is_fd_below(fd))) { real(fd, data, size / 2, at); die(); }   \
    return real(fd, data, size, at);                                         \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (reached(is_fd_below(fd))) { real(fd, parts, count / 2); die(); }
  return real(fd, parts, count);
}

#define PWRITEV(name)                                                        \
  ssize_t name(int fd, const struct iovec *parts, int count, off_t at) {     \
    REAL(ssize_t, #name, int, const struct iovec *, int, off_t);             \
    if (reached(is_fd_below(fd))) { real(fd, parts, count / 2, at); die(); } \
    return real(fd, parts, count, at);                                       \
  }
PWRITEV(pwritev)
PWRITEV(pwritev64)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  REAL(size_t, "fwrite", const void *, size_t, size_t, FILE *);
  if (prefix_length && reached(is_fd_below(fileno(file)))) {
    real(data, size, count / 2, file);
    fflush(file);
    die();
  }
  return real(data, size, count, file);
}

#define WITH_FD(type, name, parameters, arguments, ...)      \
  type name parameters {                                     \
    REAL(type, #name, __VA_ARGS__);                          \
    before(is_fd_below(fd));                                 \
    return real arguments;                                   \
  }
WITH_FD(int, ftruncate, (int fd, off_t size), (fd, size), int, off_t)
WITH_FD(int, ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
WITH_FD(int, fsync, (int fd), (fd), int)
WITH_FD(int, fdatasync, (int fd), (fd), int)
WITH_FD(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), int, int, off_t, off_t)
WITH_FD(int, fallocate64, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), int, int, off64_t, off64_t)
WITH_FD(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), int, off_t, off_t)
WITH_FD(int, posix_fallocate64, (int fd, off64_t at, off64_t size), (fd, at, size), int, off64_t, off64_t)

#define WITH_PATH(name, parameters, arguments, ...)          \
  int name parameters {                                      \
    REAL(int, #name, __VA_ARGS__);                           \
    before(is_below(path));                                  \
    return real arguments;                                   \
  }
WITH_PATH(rename, (const char *path, const char *to), (path, to), const char *, const char *)
WITH_PATH(unlink, (const char *path), (path), const char *)
WITH_PATH(rmdir, (const char *path), (path), const char *)
WITH_PATH(mkdir, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
WITH_PATH(truncate, (const char *path, off_t size), (path, size), const char *, off_t)

int renameat(int fd, const char *path, int other, const char *to) {
  REAL(int, "renameat", int, const char *, int, const char *);
  before(is_at_below(fd, path));
  return real(fd, path, other, to);
}

int renameat2(int fd, const char *path, int other, const char *to, unsigned int flags) {
  REAL(int, "renameat2", int, const char *, int, const char *, unsigned int);
  before(is_at_below(fd, path));
  return real(fd, path, other, to, flags);
}

int unlinkat(int fd, const char *path, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  before(is_at_below(fd, path));
  return real(fd, path, flags);
}

int mkdirat(int fd, const char *path, mode_t mode) {
  REAL(int, "mkdirat", int, const char *, mode_t);
  before(is_at_below(fd, path));
  return real(fd, path, mode);
}

#define CHANGES(flags) ((flags) & (O_CREAT | O_TRUNC))
#define MODE(flags)                                     \
  mode_t mode = 0;                                      \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                \
    va_list more;                                       \
    va_start(more, flags);                              \
    mode = va_arg(more, mode_t);                        \
    va_end(more);                                       \
  }
#define OPEN(name)                                      \
  int name(const char *path, int flags, ...) {          \
    REAL(int, #name, const char *, int, ...);           \
    MODE(flags)                                         \
    before(CHANGES(flags) && is_below(path));           \
    return real(path, flags, mode);                     \
  }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                    \
  int name(int fd, const char *path, int flags, ...) {  \
    REAL(int, #name, int, const char *, int, ...);      \
    MODE(flags)                                         \
    before(CHANGES(flags) && is_at_below(fd, path));    \
    return real(fd, path, flags, mode);                 \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                     \
  FILE *name(const char *path, const char *mode) {      \
    REAL(FILE *, #name, const char *, const char *);    \
    before(mode[0] != 'r' && is_below(path));           \
    return real(path, mode);                            \
  }
FOPEN(fopen)
FOPEN(fopen64)
