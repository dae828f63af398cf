/* One call of edgetvm-run: what was asked for, and what came of it. */
#ifndef EDGETVM_RUN_SESSION_H
#define EDGETVM_RUN_SESSION_H

#include "agreement.h"
#include "options.h"
#include "times.h"

struct session {
    struct options options;
    edgetvm_model *model;
    edgetvm_error error;
    uint64_t open_ns;
    bool tested;
    struct agreement agreement; /* of the worst output */
    const char *worst_output;
    uint64_t *run_ns;    /* of each timed run; null where nothing was run */
    uint64_t *kernel_ns; /* of each kernel, summed up over the runs; null where not asked for */
    struct summary summary;
};

/* What the session asks for, in its order: open, test, run, write. */
edgetvm_status session_do(struct session *session);
void session_close(struct session *session);
/* What the sample's outputs come from, in words. */
const char *reference_of(const edgetvm_info *info);

#endif
