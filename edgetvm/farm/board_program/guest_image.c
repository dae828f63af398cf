#include "guest_image.h"

#include "bytes.h"
#include "guest_functions.h"
#include "image_parts.h"

static void note(struct image_guest *asks, size_t tag, size_t value)
{
    struct guest_image *guest = (struct guest_image *)asks;
    switch (tag) {
    case DT_GNU_HASH:
        guest->gnu_hash = value;
        break;
    case DT_INIT_ARRAY:
        guest->initialisers = value;
        break;
    case DT_INIT_ARRAYSZ:
        guest->initialisers_bytes = value;
        break;
    default:
        break;
    }
}

static bool word_at(const struct image *image, size_t table, size_t index, uint32_t *word)
{
    size_t offset = 0, place = 0;
    return multiply_sizes(index, sizeof *word, &offset) && add_sizes(table, offset, &place) &&
           image_copy(image, place, word, sizeof *word);
}

/* GNU's table tells where each chain of symbols begins, and marks its last: the last symbol is the
   end of the chain that begins last. */
static bool count_symbols(const struct image_guest *asks, const struct image *image, size_t *count)
{
    enum { BUCKETS, FIRST, BLOOM_WORDS, SHIFT, WORDS };
    size_t table = ((const struct guest_image *)asks)->gnu_hash, bloom_bytes = 0, chains_bytes = 0;
    uint32_t words[WORDS], last = 0, word = 0;
    if (table == 0 || !image_copy(image, table, words, sizeof words) ||
        !multiply_sizes(words[BLOOM_WORDS], sizeof(size_t), &bloom_bytes) ||
        !add_sizes(table + sizeof words, bloom_bytes, &table)) {
        return false;
    }
    for (size_t i = 0; i < words[BUCKETS]; i++) {
        if (!word_at(image, table, i, &word)) {
            return false;
        }
        last = word > last ? word : last;
    }
    if (!multiply_sizes(words[BUCKETS], sizeof word, &chains_bytes) ||
        !add_sizes(table, chains_bytes, &table)) {
        return false;
    }
    *count = words[FIRST];
    for (size_t at = last; at >= words[FIRST]; at++) {
        if (!word_at(image, table, at - words[FIRST], &word)) {
            return false;
        }
        if (word & 1) {
            *count = at + 1;
            break;
        }
    }
    return true;
}

struct guest_image guest_image_begin(void)
{
    return (struct guest_image){
        .asks = {.find = guest_function_address, .note = note, .count_symbols = count_symbols}};
}

edgetvm_status guest_image_initialise(const struct guest_image *guest, const struct image *image,
                                      edgetvm_error *error)
{
    typedef void initialiser(void);
    for (size_t done = 0; done < guest->initialisers_bytes; done += sizeof(uintptr_t)) {
        uintptr_t address = 0;
        size_t place = 0;
        if (!add_sizes(guest->initialisers, done, &place) ||
            !image_copy(image, place, &address, sizeof address) ||
            !image_holds(image, (size_t)(address - (uintptr_t)image->memory), 1, PF_R | PF_X)) {
            return fail_image(error, "has a damaged table");
        }
        ((initialiser *)address)();
    }
    return EDGETVM_OK;
}
