/* Checks that tell their line, and go on. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdatomic.h>
#include <stdio.h>

extern atomic_int failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

/* Allocations are counted while `watching`. */
extern atomic_int watching, allocations;

void check_starved(const char *path);
/* stream: its states are `sum` and `total` = `sum` + `chunk`. */
void check_misuse(const char *path, const char *stream);
/* shared: its kernels share their work. */
void check_threads(const char *shared, const char *other);

#endif
