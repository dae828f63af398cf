/* A request's arrays as the inputs of a model. */
#ifndef BOARD_INPUTS_H
#define BOARD_INPUTS_H

#include "request.h"

/* Refuse arrays that are not the model's inputs: as Signature.check_inputs in Python.
   chunked: they have one axis more, the same of all, and states are not among them. */
bool inputs_check(edgetvm_model *model, struct request *request, bool chunked);
/* Read the payload to where the inputs lie. */
bool inputs_take(struct board *board, struct request *request);

#endif
