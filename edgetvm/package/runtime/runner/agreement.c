#include "agreement.h"

#include <math.h>
#include <string.h>

#include "bytes.h"
#include "half.h"

/* See `worst_error` in models/correctness.py for why these. */
#define LEAST_SCALE 1e-2
#define TINY_SHARE 0.02
#define LEAST_MAGNITUDE 1e-6
#define HALF_COARSENESS 16.0

#define ELEMENT(type, convert)                                                                     \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, (const type *)data + index, sizeof value);                                  \
        return convert(value);                                                                     \
    }

double element_at(const edgetvm_tensor *tensor, const void *data, size_t index)
{
    switch (tensor->dtype) {
    case EDGETVM_FLOAT16: {
        uint16_t half;
        memcpy(&half, (const uint16_t *)data + index, sizeof half);
        return float_of_half(half);
    }
    case EDGETVM_FLOAT32:
        ELEMENT(float, (double))
    case EDGETVM_FLOAT64:
        ELEMENT(double, (double))
    case EDGETVM_INT8:
        ELEMENT(int8_t, (double))
    case EDGETVM_INT16:
        ELEMENT(int16_t, (double))
    case EDGETVM_INT32:
        ELEMENT(int32_t, (double))
    case EDGETVM_INT64:
        ELEMENT(int64_t, double_of_signed)
    case EDGETVM_UINT16:
        ELEMENT(uint16_t, (double))
    case EDGETVM_UINT32:
        ELEMENT(uint32_t, (double))
    case EDGETVM_UINT64:
        ELEMENT(uint64_t, double_of_unsigned)
    case EDGETVM_BOOL:
    case EDGETVM_UINT8:
        break;
    }
    return ((const uint8_t *)data)[index];
}

static size_t product(const edgetvm_tensor *tensor, uint32_t first, uint32_t end)
{
    size_t count = 1;
    for (uint32_t axis = first; axis < end; axis++) {
        count *= (size_t)tensor->shape[axis];
    }
    return count;
}

size_t element_count(const edgetvm_tensor *tensor)
{
    return product(tensor, 0, tensor->rank);
}

size_t largest_element(const edgetvm_tensor *tensor, const void *data)
{
    size_t count = element_count(tensor), largest = 0;
    for (size_t at = 1; at < count; at++) {
        largest = element_at(tensor, data, at) > element_at(tensor, data, largest) ? at : largest;
    }
    return largest;
}

static bool is_float(const edgetvm_tensor *tensor)
{
    return tensor->dtype == EDGETVM_FLOAT16 || tensor->dtype == EDGETVM_FLOAT32 ||
           tensor->dtype == EDGETVM_FLOAT64;
}

static double error_at(const edgetvm_tensor *tensor, const void *found, const void *wanted,
                       size_t index)
{
    double a = element_at(tensor, found, index), b = element_at(tensor, wanted, index);
    if (a == b || (isnan(a) && isnan(b))) {
        return 0;
    }
    double error = fabs(a - b);
    return isnan(error) ? INFINITY : error;
}

static double magnitude_at(const edgetvm_tensor *tensor, const void *wanted, size_t index)
{
    double value = fabs(element_at(tensor, wanted, index));
    return isfinite(value) ? value : 0;
}

/* Lower each element's scale to the largest value of its line along an axis. */
static void lower_scales(const edgetvm_tensor *tensor, const void *wanted, uint32_t axis,
                         double *scales)
{
    size_t length = (size_t)tensor->shape[axis];
    size_t outer = product(tensor, 0, axis), inner = product(tensor, axis + 1, tensor->rank);
    for (size_t block = 0; block < outer; block++) {
        for (size_t line = 0; line < inner; line++) {
            size_t begin = block * length * inner + line;
            double largest = 0;
            for (size_t i = 0; i < length; i++) {
                largest = fmax(largest, magnitude_at(tensor, wanted, begin + i * inner));
            }
            for (size_t i = 0; i < length; i++) {
                scales[begin + i * inner] = fmin(scales[begin + i * inner], largest);
            }
        }
    }
}

static double of_integers(const edgetvm_tensor *tensor, double largest, double magnitude)
{
    bool byte = tensor->dtype == EDGETVM_INT8 || tensor->dtype == EDGETVM_UINT8;
    if (!tensor->quantised && !byte) {
        return INFINITY;
    }
    return largest <= 1 ? 0 : largest / fmax(magnitude, 1);
}

static double of_floats(const edgetvm_tensor *tensor, const void *found, const void *wanted,
                        double magnitude, double *scales)
{
    size_t count = element_count(tensor);
    for (size_t i = 0; i < count; i++) {
        scales[i] = magnitude;
    }
    for (uint32_t axis = 0; axis < tensor->rank; axis++) {
        if (tensor->shape[axis] > 1) {
            lower_scales(tensor, wanted, axis, scales);
        }
    }
    /* The step of a quantised output is itself rounded to its type. */
    double quantum = tensor->quantised ? tensor->scale * (1 + 1e-6) : 0;
    double least = fmax(LEAST_SCALE, 0.01 * magnitude), relative = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fmax(error_at(tensor, found, wanted, i) - quantum, 0);
        relative = fmax(relative, error / fmax(scales[i], least));
        largest = fmax(largest, error);
    }
    relative = fmax(relative, TINY_SHARE * largest / fmax(magnitude, LEAST_MAGNITUDE));
    return tensor->dtype == EDGETVM_FLOAT16 ? relative / HALF_COARSENESS : relative;
}

struct agreement agreement_of(const edgetvm_tensor *tensor, const void *found, const void *wanted,
                              double *scales)
{
    double largest = 0, magnitude = 0;
    for (size_t i = 0; i < element_count(tensor); i++) {
        largest = fmax(largest, error_at(tensor, found, wanted, i));
        magnitude = fmax(magnitude, magnitude_at(tensor, wanted, i));
    }
    if (largest == 0 || isinf(largest)) {
        return (struct agreement){largest, largest};
    }
    double relative = is_float(tensor) ? of_floats(tensor, found, wanted, magnitude, scales)
                                       : of_integers(tensor, largest, magnitude);
    return (struct agreement){largest, relative};
}
