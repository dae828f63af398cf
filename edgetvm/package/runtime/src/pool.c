#define _GNU_SOURCE 1

#include "pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { USUAL_SPIN_US = 50, LOOKS_A_STAMP = 64, LINE_BYTES = 64 };
/* Kernels keep at most 8 KiB of their own on the stack. */
enum { STACK_BYTES = 256 << 10 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    uint32_t index;
};

/* Words that other threads wait for lie on lines of their own. */
struct pool {
    /* Counts launches; workers wait for its next value. */
    _Alignas(LINE_BYTES) _Atomic uint32_t generation;
    _Atomic uint32_t sleepers;
    /* Workers that have not done their part; the caller waits for none. */
    _Alignas(LINE_BYTES) _Atomic uint32_t working;
    _Atomic uint32_t caller_sleeps;
    /* Of the launch; written before the generation, and read after it. */
    _Alignas(LINE_BYTES) tvm_task *task;
    void *data;
    int32_t tasks;
    bool launched;
    bool closing;
    _Atomic int failure;
    atomic_flag complained;
    char complaint[EDGETVM_ERROR_BYTES / 2];
    /* Set when it is opened. */
    uint64_t spin_ns;
    bool pinned;
    int core; /* that the workers are kept off; -1 before the first run */
    cpu_set_t allowed;
    uint32_t threads;
    uint32_t started;
    struct worker workers[];
};

/* Kernels call without saying for which model: one thread runs one at a time. */
static _Thread_local struct pool *current;

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

/* Whether the word changed from a value while this thread spun. */
static bool spin_while(_Atomic uint32_t *word, uint32_t value, uint64_t spin_ns)
{
    uint64_t end_ns = now_ns() + spin_ns;
    do {
        for (int look = 0; look < LOOKS_A_STAMP; look++) {
            if (atomic_load(word) != value) {
                return true;
            }
            pause_briefly();
        }
    } while (now_ns() < end_ns);
    return false;
}

static void do_part(struct pool *pool, uint32_t index)
{
    struct tvm_group group = {.tasks = pool->tasks};
    for (int32_t task = (int32_t)index; task < pool->tasks; task += (int32_t)pool->threads) {
        int code = pool->task(task, &group, pool->data);
        int none = 0;
        if (code != 0) {
            (void)atomic_compare_exchange_strong(&pool->failure, &none, code);
        }
    }
}

static void wait_for_launch(struct pool *pool, uint32_t seen)
{
    if (spin_while(&pool->generation, seen, pool->spin_ns)) {
        return;
    }
    /* The caller reads the sleepers after it wrote the generation: one of both sees the other. */
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen) {
        futex_wait(&pool->generation, seen);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    current = pool;
    for (uint32_t seen = 0;; seen++) {
        wait_for_launch(pool, seen);
        if (pool->closing) {
            return NULL;
        }
        do_part(pool, worker->index);
        if (atomic_fetch_sub(&pool->working, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            futex_wake_all(&pool->working);
        }
    }
}

static void launch(struct pool *pool)
{
    atomic_store(&pool->working, pool->threads - 1);
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        futex_wake_all(&pool->generation);
    }
}

static void wait_for_workers(struct pool *pool)
{
    uint64_t end_ns = now_ns() + pool->spin_ns;
    uint32_t left = atomic_load(&pool->working);
    while (left > 0 && now_ns() < end_ns) {
        (void)spin_while(&pool->working, left, 0);
        left = atomic_load(&pool->working);
    }
    if (left == 0) {
        return;
    }
    atomic_store(&pool->caller_sleeps, 1);
    while ((left = atomic_load(&pool->working)) > 0) {
        futex_wait(&pool->working, left);
    }
    atomic_store(&pool->caller_sleeps, 0);
}

int TVMBackendParallelLaunch(tvm_task *task, void *data, int tasks)
{
    struct pool *pool = current;
    if (pool == NULL || pool->threads == 1 || pool->launched) {
        struct tvm_group alone = {.tasks = 1};
        return task(0, &alone, data);
    }
    pool->task = task;
    pool->data = data;
    pool->tasks = tasks > 0 ? tasks : (int32_t)pool->threads;
    pool->launched = true;
    atomic_store(&pool->failure, 0);
    launch(pool);
    do_part(pool, 0);
    wait_for_workers(pool);
    pool->launched = false;
    return atomic_load(&pool->failure);
}

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count)
{
    struct pool *pool = current;
    if (pool == NULL || atomic_flag_test_and_set(&pool->complained)) {
        return;
    }
    size_t room = sizeof pool->complaint;
    int put = snprintf(pool->complaint, room, "%s: ", kind);
    for (int32_t i = 0; i < count && put >= 0 && (size_t)put < room; i++) {
        put += snprintf(pool->complaint + put, room - (size_t)put, "%s",
                        parts[i] != NULL ? parts[i] : "");
    }
}

void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message)
{
    TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

/* A core for each worker, or any of them where there are more: the system knows which lie near. */
static void place_workers(struct pool *pool, int core)
{
    cpu_set_t others = pool->allowed;
    CPU_CLR((unsigned)core, &others);
    bool each = (uint32_t)CPU_COUNT(&others) == pool->started;
    unsigned next = 0;
    for (uint32_t i = 0; i < pool->started; i++) {
        cpu_set_t own = others;
        if (each) {
            while (next < CPU_SETSIZE && !CPU_ISSET(next, &others)) {
                next++;
            }
            CPU_ZERO(&own);
            CPU_SET(next, &own);
            next++;
        }
        (void)pthread_setaffinity_np(pool->workers[i].thread, sizeof own, &own);
    }
    pool->core = core;
}

struct pool *pool_enter(struct pool *pool)
{
    struct pool *before = current;
    current = pool;
    if (pool->complaint[0] != '\0') {
        pool->complaint[0] = '\0';
        atomic_flag_clear(&pool->complained);
    }
    if (pool->pinned) {
        int core = sched_getcpu();
        if (core >= 0 && core < CPU_SETSIZE && core != pool->core) {
            place_workers(pool, core);
        }
    }
    return before;
}

void pool_leave(struct pool *before)
{
    current = before;
}

const char *pool_complaint(const struct pool *pool)
{
    return pool->complaint;
}

uint32_t pool_threads(const struct pool *pool)
{
    return pool->threads;
}

static edgetvm_status start_workers(struct pool *pool, edgetvm_error *error)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    (void)sigfillset(&all);
    int problem = pthread_attr_init(&attributes);
    if (problem == 0) {
        problem = pthread_attr_setstacksize(&attributes, STACK_BYTES);
        /* Signals are the program's own threads' to handle. */
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        for (uint32_t i = 0; problem == 0 && i < pool->threads - 1; i++) {
            struct worker *worker = &pool->workers[i];
            *worker = (struct worker){.pool = pool, .index = i + 1};
            problem = pthread_create(&worker->thread, &attributes, work, worker);
            pool->started += problem == 0;
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attributes);
    }
    if (problem != 0) {
        return fail(error, EDGETVM_SYSTEM_ERROR, "no thread could be started: %s (ask for fewer)",
                    strerror(problem));
    }
    return EDGETVM_OK;
}

edgetvm_status pool_open(struct pool **opened, uint32_t threads, uint32_t spin_us, bool unpinned,
                         edgetvm_error *error)
{
    *opened = NULL;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    uint32_t cores = 1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        cores = (uint32_t)CPU_COUNT(&allowed);
    }
    threads = threads > 0 ? threads : cores;
    threads = threads < EDGETVM_MAX_THREADS ? threads : EDGETVM_MAX_THREADS;
    size_t size = sizeof(struct pool) + (threads - 1) * sizeof(struct worker);
    size = (size + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    struct pool *pool = aligned_alloc(LINE_BYTES, size);
    if (pool == NULL) {
        return fail_memory(error, size);
    }
    memset(pool, 0, size);
    pool->threads = threads;
    pool->core = -1;
    pool->allowed = allowed;
    pool->pinned = !unpinned && threads > 1 && threads <= cores;
    /* Threads that have no core to themselves would spin at each other's cost. */
    uint64_t spin = spin_us > 0 ? spin_us : USUAL_SPIN_US;
    pool->spin_ns = threads <= cores ? spin * 1000 : 0;
    atomic_flag_clear(&pool->complained);
    *opened = pool;
    return start_workers(pool, error);
}

void pool_close(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool->closing = true;
    atomic_fetch_add(&pool->generation, 1);
    futex_wake_all(&pool->generation);
    for (uint32_t i = 0; i < pool->started; i++) {
        (void)pthread_join(pool->workers[i].thread, NULL);
    }
    free(pool);
}
