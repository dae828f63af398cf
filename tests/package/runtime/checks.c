/* All checks of the C API: checks PACKAGE STREAM SHARED. */
#include "checks.h"

atomic_int failures;

int main(int count, char **arguments)
{
    if (count != 4) {
        return 2;
    }
    check_starved(arguments[2]);
    check_misuse(arguments[1], arguments[2]);
    check_threads(arguments[3], arguments[1]);
    return failures > 0;
}
