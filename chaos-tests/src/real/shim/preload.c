// Lies between a node and its libc: fails, delays or stalls syncs, fails reads, moves the wall clock.
//
// Steered by one page of shared memory, a file named by CHAOS_PAGE; the layout is that of shim.rs.
// Counts what it did, so that a scenario can tell an injected fault from one that never happened.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
    volatile int64_t clock_nanos;
    volatile int64_t sync_fails; // how many syncs of write-ahead logs fail from now on; -1: all syncs
    volatile int64_t sync_millis;
    volatile int64_t sync_stuck;
    volatile int64_t read_fails; // reads below a folder `segments` fail
    volatile int64_t syncs;
    volatile int64_t syncs_failed;
    volatile int64_t syncs_delayed;
    volatile int64_t reads_failed;
    volatile int64_t failed_then_ok; // syncs of a file that succeeded after one of the same file failed
    volatile int64_t sync_lies;      // syncs do nothing and say that all is well
    volatile int64_t syncs_lied;
    volatile int64_t clocks_moved;
};

static struct page none;
static struct page *page = &none;
static volatile char failed_file[4096]; // by descriptor: a sync of it has failed

// Write-ahead logs of which a sync has failed, whatever descriptor they are opened with later. The time of
// birth tells a file from a later one with its number.
struct born {
    uint64_t inode;
    int64_t seconds;
    uint32_t nanos;
};
static struct born failed_logs[64];
static volatile int failed_logs_count;

__attribute__((constructor)) static void open_page(void) {
    const char *path = getenv("CHAOS_PAGE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED) page = mapped;
    close(fd);
}

static void count(volatile int64_t *counter) { __sync_fetch_and_add(counter, 1); }

static void pause_millis(int64_t millis) {
    struct timespec left = {millis / 1000, millis % 1000 * 1000000};
    while (syscall(SYS_nanosleep, &left, &left) == -1 && errno == EINTR) {}
}

// The path of an open file; 0 if it has none.
static size_t path_of(int fd, char *path, size_t bytes) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, bytes - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0 ? (size_t)length : 0;
}

static int is_log(int fd) {
    char path[4096];
    size_t length = path_of(fd, path, sizeof path);
    return length > 4 && strcmp(path + length - 4, ".log") == 0;
}

// Few failures are for the log alone: one that strikes a segment in the making is no failed write.
static int sync_fails(int fd) {
    int64_t left = page->sync_fails;
    if (left > 0 && !is_log(fd)) return 0;
    while (left > 0) {
        if (__sync_bool_compare_and_swap(&page->sync_fails, left, left - 1)) return 1;
        left = page->sync_fails;
    }
    return left < 0;
}

static int born(int fd, struct born *out) {
    struct statx found;
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &found)) return 0;
    *out = (struct born){found.stx_ino, found.stx_btime.tv_sec, found.stx_btime.tv_nsec};
    return 1;
}

static void note_failure(int fd) {
    if (fd >= 0 && fd < (int)sizeof failed_file) failed_file[fd] = 1;
    struct born log;
    if (!is_log(fd) || !born(fd, &log)) return;
    int at = __sync_fetch_and_add(&failed_logs_count, 1);
    if (at < (int)(sizeof failed_logs / sizeof *failed_logs)) failed_logs[at] = log;
}

static int has_failed(int fd) {
    if (fd >= 0 && fd < (int)sizeof failed_file && failed_file[fd]) return 1;
    int count = failed_logs_count, limit = (int)(sizeof failed_logs / sizeof *failed_logs);
    struct born log;
    if (count == 0 || !born(fd, &log)) return 0;
    for (int i = 0; i < count && i < limit; i++) {
        struct born *failed = &failed_logs[i];
        if (failed->inode == log.inode && failed->seconds == log.seconds && failed->nanos == log.nanos) return 1;
    }
    return 0;
}

static int sync_file(long call, int fd) {
    count(&page->syncs);
    if (page->sync_millis > 0) {
        count(&page->syncs_delayed);
        pause_millis(page->sync_millis);
    }
    if (page->sync_stuck) count(&page->syncs_delayed);
    while (page->sync_stuck) pause_millis(20);
    if (sync_fails(fd)) {
        count(&page->syncs_failed);
        note_failure(fd);
        errno = EIO;
        return -1;
    }
    if (page->sync_lies) {
        count(&page->syncs_lied);
        return 0;
    }
    int result = (int)syscall(call, fd);
    if (result == 0 && has_failed(fd)) count(&page->failed_then_ok);
    return result;
}

int fsync(int fd) { return sync_file(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_file(SYS_fdatasync, fd); }

// A file system without preallocation: a full disk is met at once, not when what a log had set aside
// is used up.
static int no_preallocation(void) { return getenv("CHAOS_NO_PREALLOCATION") != NULL; }

int fallocate(int fd, int mode, off_t from, off_t bytes) {
    if (no_preallocation()) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, from, bytes);
}
int fallocate64(int fd, int mode, off64_t from, off64_t bytes) {
    return fallocate(fd, mode, from, bytes);
}
int posix_fallocate(int fd, off_t from, off_t bytes) {
    return fallocate(fd, 0, from, bytes) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t from, off64_t bytes) {
    return posix_fallocate(fd, from, bytes);
}

int close(int fd) {
    if (fd >= 0 && fd < (int)sizeof failed_file) failed_file[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

static int read_fails(int fd) {
    if (!page->read_fails) return 0;
    char path[4096];
    if (!path_of(fd, path, sizeof path)) return 0;
    if (!strstr(path, "/segments/")) return 0;
    count(&page->reads_failed);
    errno = EIO;
    return 1;
}

ssize_t pread64(int fd, void *buffer, size_t bytes, off64_t offset) {
    return read_fails(fd) ? -1 : syscall(SYS_pread64, fd, buffer, bytes, offset);
}
ssize_t pread(int fd, void *buffer, size_t bytes, off_t offset) {
    return pread64(fd, buffer, bytes, offset);
}
ssize_t read(int fd, void *buffer, size_t bytes) {
    return read_fails(fd) ? -1 : syscall(SYS_read, fd, buffer, bytes);
}

static void move_clock(struct timespec *time) {
    int64_t moved = page->clock_nanos;
    if (moved) count(&page->clocks_moved);
    int64_t nanos = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + moved;
    time->tv_sec = nanos / 1000000000;
    time->tv_nsec = nanos % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real ? real(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        move_clock(time);
    }
    return result;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    value->tv_sec = now.tv_sec;
    value->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
