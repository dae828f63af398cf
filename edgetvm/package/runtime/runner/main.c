/* edgetvm-run: checks a package, runs it on this machine, and prints how long that took. */
#include <stdio.h>

#include "report.h"

static int fail_with(const char *sentence, edgetvm_status status)
{
    (void)fprintf(stderr, "edgetvm-run: %s\n", sentence);
    return (int)status;
}

static int run(struct session *session)
{
    edgetvm_status status = session_do(session);
    if (status != EDGETVM_OK) {
        return fail_with(session->error.text, status);
    }
    if (session->options.json) {
        report_json(session);
    } else {
        report_text(session);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return fail_with("the report could not be written", EDGETVM_SYSTEM_ERROR);
    }
    return 0;
}

int main(int count, char **arguments)
{
    struct session session = {0};
    char problem[PROBLEM_BYTES];
    if (!options_read(&session.options, count, arguments, problem)) {
        char sentence[PROBLEM_BYTES + 40];
        (void)snprintf(sentence, sizeof sentence, "%s (--help tells what there is)", problem);
        return fail_with(sentence, EDGETVM_BAD_ARGUMENT);
    }
    if (session.options.help) {
        (void)fputs(OPTIONS_HELP, stdout);
        return 0;
    }
    if (session.options.version) {
        printf("edgetvm-run %s (%s)\n", edgetvm_version(), edgetvm_architecture());
        return 0;
    }
    int code = run(&session);
    session_close(&session);
    return code;
}
