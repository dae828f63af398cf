/* What the parts of the JSON reader share. */
#ifndef EDGETVM_JSON_PARTS_H
#define EDGETVM_JSON_PARTS_H

#include "json.h"

/* Read this character if it is the next. */
bool json_take(struct json *json, char wanted);
/* Read it, or fail. */
void json_expect(struct json *json, char wanted);

#endif
