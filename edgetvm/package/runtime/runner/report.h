/* What edgetvm-run prints. */
#ifndef EDGETVM_RUN_REPORT_H
#define EDGETVM_RUN_REPORT_H

#include "session.h"

/* Of each output, so many values are shown. */
enum { SHOWN_VALUES = 4 };

void report_text(const struct session *session);
void report_json(const struct session *session);

#endif
