/* The runner's main under another name: this program has one of its own. */
#include "runner_main.h"

#define main edgetvm_run_main
#include "../../package/runtime/runner/main.c"
