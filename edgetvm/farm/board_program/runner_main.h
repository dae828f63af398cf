/* The package runner, as one verb of this program. */
#ifndef BOARD_RUNNER_MAIN_H
#define BOARD_RUNNER_MAIN_H

int edgetvm_run_main(int count, char **arguments);

#endif
