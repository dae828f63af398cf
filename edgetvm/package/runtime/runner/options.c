#include "options.h"

#include <stddef.h>
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
    "  --warmup N               runs before them (0)\n"
    "  --threads N              that share a run, this one included (all cores)\n"
    "  --target NAME            of the package's targets (the first that fits)\n"
    "  --self-test              run the sample and compare with the reference's answers\n"
    "  --profile                the time of each kernel\n"
    "  --info                   tell what the package is, and run nothing\n"
    "  --json                   print one JSON object, with the time of each run\n"
    "  --version, --help\n"
    "\n"
    "Ends with 0, or with the number of what went wrong: see docs/how-to/embed.md.\n";

enum kind { FLAG, TEXT, NUMBER, INPUT };

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t most;
};

static const struct option OPTIONS[] = {
    {"--input", INPUT, 0, 0},
    {"--output", TEXT, offsetof(struct options, output), 0},
    {"--target", TEXT, offsetof(struct options, target), 0},
    {"--repeat", NUMBER, offsetof(struct options, repeat), MAX_REPEATS},
    {"--warmup", NUMBER, offsetof(struct options, warmup), MAX_REPEATS},
    {"--threads", NUMBER, offsetof(struct options, threads), EDGETVM_MAX_THREADS},
    {"--self-test", FLAG, offsetof(struct options, self_test), 0},
    {"--profile", FLAG, offsetof(struct options, profile), 0},
    {"--info", FLAG, offsetof(struct options, info), 0},
    {"--json", FLAG, offsetof(struct options, json), 0},
    {"--help", FLAG, offsetof(struct options, help), 0},
    {"--version", FLAG, offsetof(struct options, version), 0},
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

static bool read_number(const char *text, uint32_t most, uint32_t *number)
{
    if (*text < '0' || *text > '9' || strlen(text) > 9) {
        return false;
    }
    char *end = NULL;
    *number = (uint32_t)strtoul(text, &end, 10);
    return *end == '\0' && *number <= most;
}

static const char *take(struct options *options, const struct option *option, const char *value)
{
    void *place = (char *)options + option->offset;
    switch (option->kind) {
    case FLAG:
        *(bool *)place = true;
        return NULL;
    case TEXT:
        *(const char **)place = value;
        return NULL;
    case NUMBER:
        return read_number(value, option->most, place) ? NULL : "is no number that it can be";
    case INPUT:
        if (options->input_count == MAX_INPUTS) {
            return "is one input too many";
        }
        options->inputs[options->input_count++] = value;
        return NULL;
    }
    return NULL;
}

const char *options_read(struct options *options, int count, char **arguments)
{
    *options = (struct options){.repeat = 1};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        if (strncmp(argument, "--", 2) != 0) {
            if (options->package != NULL) {
                return "there is more than one package";
            }
            options->package = argument;
            continue;
        }
        const struct option *option = find(argument);
        if (option == NULL) {
            return "there is an unknown option";
        }
        bool valued = option->kind != FLAG;
        if (valued && ++i == count) {
            return "the last option lacks its value";
        }
        const char *problem = take(options, option, valued ? arguments[i] : NULL);
        if (problem != NULL) {
            return problem;
        }
    }
    return options->repeat > 0 ? NULL : "--repeat is at least 1";
}
