/* Models on threads of their own, and what a run may not do. */
#define _GNU_SOURCE 1

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"
#include "edgetvm.h"

enum { THREADS = 4, RUNS = 40 };

static edgetvm_model *opened(const char *path, uint32_t threads)
{
    edgetvm_model *model = NULL;
    edgetvm_error error;
    edgetvm_config config = {.threads = threads};
    if (edgetvm_open(path, &config, &model, &error) != EDGETVM_OK) {
        (void)fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    for (size_t i = 0; i < edgetvm_input_count(model); i++) {
        char name[40];
        size_t size = edgetvm_input(model, i)->size_bytes;
        (void)snprintf(name, sizeof name, "sample/input-%zu.bin", i);
        CHECK(edgetvm_read_member(model, name, edgetvm_input_memory(model, i), &size) ==
              EDGETVM_OK);
    }
    return model;
}

/* Many runs give what the first gave. */
static void *run_many(void *argument)
{
    edgetvm_model *model = argument;
    size_t size = edgetvm_output(model, 0)->size_bytes;
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    void *first = malloc(size);
    memcpy(first, edgetvm_output_memory(model, 0), size);
    for (int run = 0; run < RUNS; run++) {
        CHECK(edgetvm_run(model) == EDGETVM_OK);
        CHECK(memcmp(first, edgetvm_output_memory(model, 0), size) == 0);
    }
    free(first);
    return NULL;
}

static void at_once(const char *shared, const char *other)
{
    pthread_t threads[THREADS];
    edgetvm_model *models[THREADS];
    for (int i = 0; i < THREADS; i++) {
        models[i] = opened(i % 2 == 0 ? shared : other, 2);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, run_many, models[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        edgetvm_close(models[i]);
    }
}

/* One thread after the other uses one model, and its workers follow. */
static void handed_over(const char *path)
{
    edgetvm_model *model = opened(path, 3);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, run_many, model) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    edgetvm_close(model);
}

static void no_allocation(const char *path)
{
    edgetvm_model *model = opened(path, 2);
    CHECK(edgetvm_run(model) == EDGETVM_OK);
    watching = 1;
    for (int run = 0; run < RUNS; run++) {
        CHECK(edgetvm_run(model) == EDGETVM_OK);
        CHECK(edgetvm_reset_state(model) == EDGETVM_OK);
        CHECK(edgetvm_set_input(model, "nobody", "", 0) == EDGETVM_NO_SUCH_TENSOR);
    }
    watching = 0;
    CHECK(allocations == 0);
    edgetvm_close(model);
}

/* The cores that a thread of this process may run on. */
static cpu_set_t cores_of(const char *task)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CHECK(sched_getaffinity((pid_t)atoi(task), sizeof cores, &cores) == 0);
    return cores;
}

/* Workers are kept off the core that the caller runs on, wherever it goes. */
static void kept_apart(const char *path)
{
    cpu_set_t all;
    edgetvm_model *model = opened(path, 2);
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    for (unsigned core = 0; core < CPU_SETSIZE && CPU_COUNT(&all) > 1; core++) {
        if (!CPU_ISSET(core, &all)) {
            continue;
        }
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(core, &own);
        CHECK(sched_setaffinity(0, sizeof own, &own) == 0);
        CHECK(edgetvm_run(model) == EDGETVM_OK);
        int apart = 0;
        DIR *tasks = opendir("/proc/self/task");
        for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
            if (task->d_name[0] != '.' && atoi(task->d_name) != (int)getpid()) {
                cpu_set_t cores = cores_of(task->d_name);
                apart += !CPU_ISSET(core, &cores);
            }
        }
        CHECK(closedir(tasks) == 0 && apart == 1);
    }
    CHECK(sched_setaffinity(0, sizeof all, &all) == 0);
    edgetvm_close(model);
}

/* Threads that have work, that spin, and that sleep are ended alike. */
static void opened_and_closed(const char *path)
{
    for (uint32_t i = 0; i < 20; i++) {
        edgetvm_model *model = opened(path, 1 + i % 5);
        if (i % 2 == 0) {
            CHECK(edgetvm_run(model) == EDGETVM_OK);
        }
        edgetvm_close(model);
    }
}

void check_threads(const char *shared, const char *other)
{
    no_allocation(shared);
    at_once(shared, other);
    handed_over(shared);
    kept_apart(shared);
    opened_and_closed(shared);
}
