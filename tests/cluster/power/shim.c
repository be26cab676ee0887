/* Logs what a process does to the files below $POWER_ROOT, with the data, so that a power cut can be
   played on it afterwards (recording.py reads the log, disk.py says what a disk may then hold).

   Preloaded: the functions here stand before libc's, make the same system call, and note it once it
   has succeeded. Each process has a log of its own, $POWER_LOG/<pid>.log; the monotonic clock, which
   all processes share, orders them. What is not caught here (a write by another call, a relative
   path) is found by comparing where the log leads with the real files. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As recording.py has them; a path, another and data follow a record. */
enum kind { OPEN, WRITE, TRUNCATE, SYNC, RENAME, LINK, UNLINK, MKDIR };
struct record {
    uint32_t kind, flags;
    int64_t began, ended, inode, offset;
    uint32_t path_size, other_size, data_size, unused;
};

enum { MAX_FD = 4096, HIGH_FD = 500 };

static const char *root;
static size_t root_size;
static int log_fd;
static ino_t inodes[MAX_FD]; /* what is open below the root, by descriptor; 0 where nothing is */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *logs = getenv("POWER_LOG");
    char path[PATH_MAX];
    if (!getenv("POWER_ROOT") || !logs)
        return;
    snprintf(path, sizeof path, "%s/%d.log", logs, getpid());
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    /* Out of the way: the program gets the numbers that it would get without us. */
    log_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    syscall(SYS_close, fd);
    if (log_fd < 0)
        abort();
    root = getenv("POWER_ROOT");
    root_size = strlen(root);
}

static int below(const char *path)
{
    return root_size && !strncmp(path, root, root_size)
           && (path[root_size] == '/' || !path[root_size]);
}

static void note(enum kind kind, uint32_t flags, int64_t began, ino_t inode, int64_t offset,
                 const char *path, const char *other, const void *data, size_t size)
{
    int error = errno;
    size_t path_size = strlen(path), other_size = strlen(other);
    struct record r = {kind, flags, began, now(), inode, offset, path_size, other_size, size, 0};
    struct iovec parts[] = {{&r, sizeof r},
                            {(void *)path, path_size},
                            {(void *)other, other_size},
                            {(void *)data, size}};
    size_t whole = sizeof r + path_size + other_size + size;
    if (syscall(SYS_writev, log_fd, parts, 4) != (long)whole) /* one append: threads don't mix */
        abort();
    errno = error;
}

/* --- names ----------------------------------------------------------------------------------- */

static int opened(const char *path, int flags, mode_t mode)
{
    int64_t began = now();
    int fd = syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
    struct stat s;
    if (fd < 0 || fd >= MAX_FD)
        return fd;
    inodes[fd] = 0;
    if (below(path) && !fstat(fd, &s)) {
        inodes[fd] = s.st_ino;
        note(OPEN, flags, began, s.st_ino, 0, path, "", NULL, 0);
    }
    return fd;
}

#define OPEN_WITH_MODE                                                                             \
    va_list rest;                                                                                  \
    va_start(rest, flags);                                                                         \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                        \
    va_end(rest);                                                                                  \
    return opened(path, flags, mode);
int open(const char *path, int flags, ...) { OPEN_WITH_MODE }
int open64(const char *path, int flags, ...) { OPEN_WITH_MODE }

static int named(enum kind kind, int failed, int64_t began, const char *path, const char *other)
{
    if (!failed && (below(path) || below(other)))
        note(kind, 0, began, 0, 0, path, other, NULL, 0);
    return failed;
}

int rename(const char *from, const char *to)
{
    int64_t began = now();
    return named(RENAME, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0), began, from, to);
}
int link(const char *from, const char *to)
{
    int64_t began = now();
    return named(LINK, syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0), began, from, to);
}
int unlink(const char *path)
{
    int64_t began = now();
    return named(UNLINK, syscall(SYS_unlinkat, AT_FDCWD, path, 0), began, path, "");
}
int mkdir(const char *path, mode_t mode)
{
    int64_t began = now();
    return named(MKDIR, syscall(SYS_mkdirat, AT_FDCWD, path, mode), began, path, "");
}

/* --- content --------------------------------------------------------------------------------- */

/* The inode of a descriptor that was opened below the root; 0 if it was not, or has been closed
   since and is something else's by now. */
static ino_t ours(int fd)
{
    struct stat s;
    int error = errno;
    int is = fd >= 0 && fd < MAX_FD && inodes[fd] && !fstat(fd, &s) && s.st_ino == inodes[fd];
    errno = error;
    return is ? s.st_ino : 0;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    ino_t inode = ours(fd);
    int64_t began = now();
    ssize_t n = syscall(SYS_pwrite64, fd, data, size, offset);
    if (inode && n > 0)
        note(WRITE, 0, began, inode, offset, "", "", data, n);
    return n;
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size)
{
    ino_t inode = ours(fd);
    int64_t began = now();
    ssize_t n = syscall(SYS_write, fd, data, size);
    if (inode && n > 0)
        note(WRITE, 0, began, inode, lseek(fd, 0, SEEK_CUR) - n, "", "", data, n);
    return n;
}

int ftruncate64(int fd, off64_t size)
{
    ino_t inode = ours(fd);
    int64_t began = now();
    int failed = syscall(SYS_ftruncate, fd, size);
    if (inode && !failed)
        note(TRUNCATE, 0, began, inode, size, "", "", NULL, 0);
    return failed;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int synced(int fd, int number)
{
    ino_t inode = ours(fd);
    int64_t began = now();
    int failed = syscall(number, fd);
    if (inode && !failed)
        note(SYNC, 0, began, inode, 0, "", "", NULL, 0);
    return failed;
}
int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
