/* edgetvm-board: all that edgetvm needs on a board. Runs packages, and serves the board. */
#include <stdio.h>
#include <string.h>

#include "edgetvm.h"
#include "log.h"
#include "runner_main.h"
#include "supervisor.h"

static const char HELP[] =
    "edgetvm-board run PACKAGE [OPTION...]   check a package, run it, and print how long it took\n"
    "edgetvm-board serve --key KEY [OPTION...]   serve this board to clients of TVM's RPC\n"
    "edgetvm-board version\n"
    "\n"
    "Each tells its options with --help.\n";

static int serve(int count, char **arguments)
{
    struct serve_options options;
    const char *problem = serve_options_read(&options, count, arguments);
    if (problem != NULL) {
        log_line("%s (serve --help tells what there is)", problem);
        return EDGETVM_BAD_ARGUMENT;
    }
    if (options.help) {
        (void)fputs(SERVE_HELP, stdout);
        return 0;
    }
    return supervise(&options);
}

int main(int count, char **arguments)
{
    const char *verb = count > 1 ? arguments[1] : "";
    if (strcmp(verb, "run") == 0) {
        return edgetvm_run_main(count - 1, arguments + 1);
    }
    if (strcmp(verb, "serve") == 0) {
        return serve(count - 1, arguments + 1);
    }
    if (strcmp(verb, "version") == 0) {
        printf("edgetvm-board %s (%s)\n", edgetvm_version(), edgetvm_architecture());
        return 0;
    }
    if (strcmp(verb, "--help") == 0) {
        (void)fputs(HELP, stdout);
        return 0;
    }
    (void)fputs(HELP, stderr);
    return EDGETVM_BAD_ARGUMENT;
}
