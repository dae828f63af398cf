/* Types of TVM's FFI that cross the wire: tvm/ffi/c_api.h. */
#ifndef BOARD_TYPES_H
#define BOARD_TYPES_H

enum type_index {
    TYPE_NONE = 0,
    TYPE_INT = 1,
    TYPE_BOOL = 2,
    TYPE_FLOAT = 3,
    TYPE_POINTER = 4,
    TYPE_DTYPE = 5,
    TYPE_DEVICE = 6,
    TYPE_TENSOR = 7,
    TYPE_RAW_TEXT = 8,
    TYPE_RAW_BYTES = 9,
    TYPE_SMALL_TEXT = 11,
    TYPE_SMALL_BYTES = 12,
    TYPE_OBJECT = 64,
    TYPE_TEXT = 65,
    TYPE_BYTES = 66,
    TYPE_FUNCTION = 68,
    TYPE_MODULE = 73
};

enum { DEVICE_CPU = 1, MAX_RANK = 16 };

#endif
