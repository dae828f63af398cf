/* What the user of edgetvm-run asks for. */
#ifndef EDGETVM_RUN_OPTIONS_H
#define EDGETVM_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_INPUTS = 256, MAX_REPEATS = 1000000, PROBLEM_BYTES = 160 };
#define UNSAID_WARMUP UINT32_MAX

struct options {
    const char *package; /* null: the one that this program carries */
    const char *inputs[MAX_INPUTS];
    uint32_t input_count;
    const char *output; /* a folder; null without */
    const char *target;
    const char *key; /* a file; null without */
    uint32_t repeat;
    uint32_t warmup; /* UNSAID_WARMUP: as many as the number of timed runs asks for */
    uint32_t threads;
    bool self_test;
    bool profile;
    bool info;
    bool json;
    bool help;
    bool version;
};

extern const char OPTIONS_HELP[];

/* Where the arguments are wrong, `problem` tells how. */
bool options_read(struct options *options, int count, char **arguments,
                  char problem[PROBLEM_BYTES]);

#endif
