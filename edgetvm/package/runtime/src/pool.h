/*
 * The threads that share a run, and what compiled kernels call to share it.
 *
 * The caller is one of them and takes part. The others wait for work: first they spin, then they
 * sleep. Each model has a pool of its own, so models do not wait for one another.
 */
#ifndef EDGETVM_POOL_H
#define EDGETVM_POOL_H

#include "error.h"

struct pool;

/* threads: that share work, the caller's included; the system's number of cores for 0. */
edgetvm_status pool_open(struct pool **pool, uint32_t threads, uint32_t spin_us, bool unpinned,
                         edgetvm_error *error);
void pool_close(struct pool *pool);
uint32_t pool_threads(const struct pool *pool);

/* Calls in between share their work in this pool; kernels are told no other way. Answers with what
   pool_leave wants back. */
struct pool *pool_enter(struct pool *pool);
void pool_leave(struct pool *before);
/* What kernels said since the last pool_enter when they failed; "" where they said nothing. */
const char *pool_complaint(const struct pool *pool);

/* Of TVM's runtime, called by kernels: include/tvm/runtime/c_backend_api.h and tvm/ffi/c_api.h. */
struct tvm_group {
    void *barrier;
    int32_t tasks;
};
typedef int tvm_task(int task, struct tvm_group *group, void *data);

int TVMBackendParallelLaunch(tvm_task *task, void *data, int tasks);
void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message);
void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t count);

#endif
