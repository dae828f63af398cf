/* What the machine is like that this program runs on. */
#ifndef EDGETVM_RUN_MACHINE_H
#define EDGETVM_RUN_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether another machine's system runs it, in QEMU: Linux 6.1 and later tell. */
bool machine_is_emulated(void);
/* That this process may use; 0 where the system does not tell. */
uint32_t machine_cores(void);

#endif
