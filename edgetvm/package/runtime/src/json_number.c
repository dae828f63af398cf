/* Numbers of JSON. Not by the C library: its numbers have another point in other countries. */
#include <math.h>
#include <string.h>

#include "json_parts.h"

static bool is_digit(const struct json *json)
{
    return json->at < json->end && *json->at >= '0' && *json->at <= '9';
}

static const char *const NO_NUMBER = "has no number where one belongs";

int64_t json_integer(struct json *json, int64_t least, int64_t most)
{
    bool negative = json_take(json, '-');
    if (!is_digit(json)) {
        json_fail(json, "has no whole number where one belongs");
        return least;
    }
    bool zero = *json->at == '0';
    const char *begin = json->at;
    int64_t value = 0;
    bool over = false;
    for (; is_digit(json); json->at++) {
        int digit = *json->at - '0';
        over |= __builtin_mul_overflow(value, 10, &value);
        over |= __builtin_sub_overflow(value, digit, &value);
    }
    /* Summed up below zero: the least number has no positive twin. */
    over |= !negative && __builtin_sub_overflow((int64_t)0, value, &value);
    bool fraction = json->at < json->end && strchr(".eE", *json->at) != NULL;
    if (over || value < least || value > most || (zero && json->at - begin > 1) || fraction) {
        json_fail(json, "has a number that cannot be");
        return least;
    }
    return value;
}

static int exponent(struct json *json)
{
    if (json->at == json->end || (*json->at != 'e' && *json->at != 'E')) {
        return 0;
    }
    json->at++;
    bool negative = json->at < json->end && *json->at == '-';
    if (negative || (json->at < json->end && *json->at == '+')) {
        json->at++;
    }
    if (!is_digit(json)) {
        json_fail(json, NO_NUMBER);
    }
    int value = 0;
    for (; is_digit(json); json->at++) {
        value = value < 10000 ? 10 * value + (*json->at - '0') : value;
    }
    return negative ? -value : value;
}

double json_number(struct json *json)
{
    bool negative = json_take(json, '-');
    if (!is_digit(json)) {
        json_fail(json, NO_NUMBER);
        return 0;
    }
    double value = 0;
    int scale = 0;
    const char *begin = json->at, *point = NULL;
    for (; is_digit(json) || (*json->at == '.' && point == NULL); json->at++) {
        if (*json->at == '.') {
            point = json->at;
        } else {
            value = 10 * value + (*json->at - '0');
            scale -= point != NULL;
        }
    }
    const char *whole_end = point != NULL ? point : json->at;
    bool padded = *begin == '0' && whole_end - begin > 1;
    bool bare_point = json->at[-1] == '.';
    scale += exponent(json);
    /* In two steps: the power alone may be no number where the product is one. */
    int half = scale / 2;
    value = value * pow(10, half) * pow(10, scale - half);
    if (padded || bare_point || !isfinite(value)) {
        json_fail(json, NO_NUMBER);
    }
    return negative ? -value : value;
}
