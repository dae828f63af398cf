#include "options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgetvm.h"

const char OPTIONS_HELP[] =
    "edgetvm-run [PACKAGE] [OPTION...]\n"
    "\n"
    "Checks an .edgetvm package, runs its model on this machine, and prints how long runs took.\n"
    "Without PACKAGE it takes the package that was appended to this program.\n"
    "\n"
    "  --input [NAME=]FILE.npy  an input; those that are not given are the package's sample\n"
    "  --output FOLDER          write each output of the last run to FOLDER/output-N.npy\n"
    "  --repeat N               timed runs (1)\n"
    "  --warmup N               runs before them (5, or 0 before a single one)\n"
    "  --threads N              that share a run, this one included (all cores)\n"
    "  --target NAME            of the package's targets (the first that fits)\n"
    "  --key PUBLIC.pem         run it only if the owner of this Ed25519 key has signed it\n"
    "  --self-test              run the sample and compare with the reference's answers\n"
    "  --profile                the time of each kernel\n"
    "  --info                   tell what the package is, and run nothing; for any machine's\n"
    "  --json                   print one JSON object, with the time of each run\n"
    "  --version, --help\n"
    "\n"
    "Ends with 0, or with the number of what went wrong:\n"
    "   2 bad argument          9 bad archive      15 wrong architecture\n"
    "   3 no such tensor       10 too large        16 missing CPU feature\n"
    "   4 wrong size           11 bad manifest     17 bad compiled model\n"
    "   5 not ready            12 other format     18 missing function\n"
    "   6 system error         13 altered          19 kernel failed\n"
    "   7 no memory            14 needs edgetvm    20 wrong answer\n"
    "   8 not a package                            21 not signed by the key\n";

/* Caches, branch predictors and clocks have settled then. */
enum { USUAL_WARMUP = 5 };

enum kind { FLAG, TEXT, NUMBER, INPUT };

struct option {
    char name[12];
    enum kind kind;
    size_t offset;
    uint32_t least;
    uint32_t most;
};

static const struct option OPTIONS[] = {
    {"--input", INPUT, 0, 0, 0},
    {"--output", TEXT, offsetof(struct options, output), 0, 0},
    {"--target", TEXT, offsetof(struct options, target), 0, 0},
    {"--key", TEXT, offsetof(struct options, key), 0, 0},
    {"--repeat", NUMBER, offsetof(struct options, repeat), 1, MAX_REPEATS},
    {"--warmup", NUMBER, offsetof(struct options, warmup), 0, MAX_REPEATS},
    {"--threads", NUMBER, offsetof(struct options, threads), 0, EDGETVM_MAX_THREADS},
    {"--self-test", FLAG, offsetof(struct options, self_test), 0, 0},
    {"--profile", FLAG, offsetof(struct options, profile), 0, 0},
    {"--info", FLAG, offsetof(struct options, info), 0, 0},
    {"--json", FLAG, offsetof(struct options, json), 0, 0},
    {"--help", FLAG, offsetof(struct options, help), 0, 0},
    {"--version", FLAG, offsetof(struct options, version), 0, 0},
};

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < sizeof OPTIONS / sizeof *OPTIONS; i++) {
        if (strcmp(OPTIONS[i].name, name) == 0) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static bool read_number(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
    if (*text < '0' || *text > '9' || strlen(text) > 9) {
        return false;
    }
    char *end = NULL;
    *number = (uint32_t)strtoul(text, &end, 10);
    return *end == '\0' && *number >= least && *number <= most;
}

static bool take(struct options *options, const struct option *option, const char *value,
                 char problem[PROBLEM_BYTES])
{
    void *place = (char *)options + option->offset;
    switch (option->kind) {
    case FLAG:
        *(bool *)place = true;
        return true;
    case TEXT:
        *(const char **)place = value;
        return true;
    case NUMBER:
        if (read_number(value, option->least, option->most, place)) {
            return true;
        }
        (void)snprintf(problem, PROBLEM_BYTES, "%s %.40s: it is a number from %u to %u",
                       option->name, value, (unsigned)option->least, (unsigned)option->most);
        return false;
    case INPUT:
        if (options->input_count == MAX_INPUTS) {
            (void)snprintf(problem, PROBLEM_BYTES, "--input %.40s is one too many", value);
            return false;
        }
        options->inputs[options->input_count++] = value;
        return true;
    }
    return true;
}

static bool take_package(struct options *options, const char *path, char problem[PROBLEM_BYTES])
{
    if (options->package != NULL) {
        (void)snprintf(problem, PROBLEM_BYTES, "%.60s is one package too many", path);
        return false;
    }
    options->package = path;
    return true;
}

bool options_read(struct options *options, int count, char **arguments,
                  char problem[PROBLEM_BYTES])
{
    *options = (struct options){.repeat = 1, .warmup = UNSAID_WARMUP};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (strncmp(argument, "--", 2) != 0) {
            if (!take_package(options, argument, problem)) {
                return false;
            }
            continue;
        }
        const struct option *option = find(argument);
        if (option == NULL) {
            (void)snprintf(problem, PROBLEM_BYTES, "there is no option %.60s", argument);
            return false;
        }
        bool valued = option->kind != FLAG;
        if (valued && ++i == count) {
            (void)snprintf(problem, PROBLEM_BYTES, "%s lacks its value", argument);
            return false;
        }
        if (!take(options, option, valued ? arguments[i] : NULL, problem)) {
            return false;
        }
    }
    if (options->warmup == UNSAID_WARMUP) {
        options->warmup = options->repeat > 1 ? USUAL_WARMUP : 0;
    }
    return true;
}
