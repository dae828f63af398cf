/* One call of edgetvm-run: what was asked for, and what came of it. */
#ifndef EDGETVM_RUN_SESSION_H
#define EDGETVM_RUN_SESSION_H

#include "agreement.h"
#include "options.h"
#include "package.h"
#include "times.h"

struct session {
    struct options options;
    edgetvm_model *model;
    edgetvm_error error;
    uint8_t *checked; /* the package, where its signature was; null without --key */
    size_t checked_bytes;
    bool is_elsewhere;        /* --info of what this machine cannot run: `error` says why */
    struct package elsewhere; /* then, and no model */
    bool emulated;  /* this machine, or the board that the package is for */
    uint32_t cores; /* that this process may use; 0 where that is not known */
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
