/* What edgetvm-run prints. */
#ifndef EDGETVM_RUN_REPORT_H
#define EDGETVM_RUN_REPORT_H

#include "session.h"

void report_text(const struct session *session);
void report_json(const struct session *session);

#endif
