#include "trust.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "ed25519.h"
#include "error.h"
#include "json.h"
#include "sha256.h"
#include "source.h"
#include "zip.h"

/* What stands before the key in every PEM file of one: its algorithm, in base64. */
#define PEM_PREFIX "MCowBQYDK2VwAyEA"
enum { MAX_PEM_BYTES = 4096, MAX_SIGNATURE_BYTES = 4096, KEY_LETTERS = 43, END_BYTES = 22 };
/* No package is larger than its members and its directory may be, and the program before it. */
#define MAX_FILE_BYTES (MAX_TOTAL_BYTES + MAX_DIRECTORY_BYTES + (64u << 20))

static int value_of_letter(char letter)
{
    static const char LETTERS[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = letter != '\0' ? strchr(LETTERS, letter) : NULL;
    return found != NULL ? (int)(found - LETTERS) : -1;
}

static bool decode_key(const char *letters, uint8_t key[ED25519_KEY_BYTES])
{
    uint32_t bits = 0;
    int held = 0, count = 0;
    for (int i = 0; i < KEY_LETTERS; i++) {
        int value = value_of_letter(letters[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            key[count++] = (uint8_t)(bits >> held);
        }
    }
    return true;
}

static edgetvm_status read_whole(const char *path, uint64_t most_bytes, uint8_t **data,
                                 size_t *size_bytes, edgetvm_error *error)
{
    struct source source;
    edgetvm_status status = source_open(&source, path, error);
    if (status == EDGETVM_OK && (source.size_bytes > most_bytes || source.size_bytes >= SIZE_MAX)) {
        status = fail(error, EDGETVM_TOO_LARGE, "it is too large");
    }
    if (status == EDGETVM_OK) {
        *size_bytes = (size_t)source.size_bytes;
        *data = malloc(*size_bytes + 1);
        status = *data != NULL ? source_read(&source, 0, *data, *size_bytes, error)
                               : fail_memory(error, *size_bytes);
    }
    source_close(&source);
    return status;
}

static edgetvm_status read_key(const char *path, uint8_t key[ED25519_KEY_BYTES],
                               edgetvm_error *error)
{
    uint8_t *text = NULL;
    size_t size = 0;
    edgetvm_status status = read_whole(path, MAX_PEM_BYTES, &text, &size, error);
    if (status == EDGETVM_OK) {
        text[size] = '\0';
        const char *found = strstr((const char *)text, PEM_PREFIX);
        if (found == NULL || !decode_key(found + sizeof PEM_PREFIX - 1, key)) {
            status = fail(error, EDGETVM_BAD_ARGUMENT,
                          "it is no public Ed25519 key in PEM form (give the KEY.pub.pem that "
                          "edgetvm package sign --new-key wrote)");
        }
    }
    free(text);
    if (status != EDGETVM_OK) {
        fail_where(error, path);
    }
    return status;
}

static bool read_hex(const char *text, uint8_t *bytes, size_t size_bytes)
{
    static const char DIGITS[] = "0123456789abcdef";
    if (text == NULL || strlen(text) != 2 * size_bytes) {
        return false;
    }
    memset(bytes, 0, size_bytes);
    for (size_t i = 0; i < 2 * size_bytes; i++) {
        const char *digit = strchr(DIGITS, text[i]);
        if (digit == NULL) {
            return false;
        }
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | (digit - DIGITS));
    }
    return true;
}

struct signature {
    uint8_t key[ED25519_KEY_BYTES];
    uint8_t bytes[ED25519_SIGNATURE_BYTES];
};

/* text: of signature.json, changed by reading; one more byte after its end is the caller's too. */
static bool read_signature(struct signature *signature, char *text, size_t length)
{
    struct json json = json_begin(text, length);
    const char *key, *algorithm = NULL, *public_key = NULL, *bytes = NULL;
    json_object(&json);
    while (json_key(&json, &key)) {
        if (strcmp(key, "algorithm") == 0) {
            algorithm = json_string(&json);
        } else if (strcmp(key, "public_key") == 0) {
            public_key = json_string(&json);
        } else if (strcmp(key, "signature") == 0) {
            bytes = json_string(&json);
        } else {
            json_skip(&json);
        }
    }
    return json_finish(&json) && algorithm != NULL && strcmp(algorithm, "ed25519") == 0 &&
           read_hex(public_key, signature->key, sizeof signature->key) &&
           read_hex(bytes, signature->bytes, sizeof signature->bytes);
}

static void hash(const uint8_t *data, size_t size_bytes, uint8_t digest[SHA256_BYTES])
{
    struct cpu cpu = cpu_read();
    struct sha256 state = sha256_begin(&cpu);
    sha256_add(&state, data, size_bytes);
    sha256_end(&state, digest);
}

/* What is signed: docs/format/package.md, "Signature". */
static void hash_signed(const uint8_t *data, size_t begin, const struct zip_entry *manifest,
                        uint8_t digest[SHA256_BYTES])
{
    uint8_t both[2 * SHA256_BYTES];
    hash(data + manifest->offset, manifest->size_bytes, digest);
    if (begin > 0) {
        hash(data, begin, both);
        memcpy(both + SHA256_BYTES, digest, SHA256_BYTES);
        hash(both, sizeof both, digest);
    }
}

static edgetvm_status check(const uint8_t *data, size_t size_bytes, const struct zip *zip,
                            const uint8_t key[ED25519_KEY_BYTES], edgetvm_error *error)
{
    const struct zip_entry *last = zip->count > 1 ? &zip->entries[zip->count - 1] : NULL;
    if (last == NULL || !zip_has_name(last, "signature.json") ||
        last->size_bytes > MAX_SIGNATURE_BYTES) {
        return fail(error, EDGETVM_NOT_TRUSTED,
                    "it is not signed (take it only from whom you trust)");
    }
    char text[MAX_SIGNATURE_BYTES + 1];
    struct signature signature;
    memcpy(text, data + last->offset, last->size_bytes);
    if (!read_signature(&signature, text, last->size_bytes)) {
        return fail(error, EDGETVM_NOT_TRUSTED, "its signature.json is no signature (sign it again)");
    }
    if (memcmp(signature.key, key, ED25519_KEY_BYTES) != 0) {
        return fail(error, EDGETVM_NOT_TRUSTED,
                    "it is signed by another key (take it only from whom you trust)");
    }
    const uint8_t *end = data + size_bytes - END_BYTES;
    size_t begin = size_bytes - END_BYTES - le32(end + 12) - le32(end + 16);
    uint8_t digest[SHA256_BYTES];
    hash_signed(data, begin, &zip->entries[0], digest);
    if (!ed25519_signed(key, digest, signature.bytes)) {
        return fail(error, EDGETVM_NOT_TRUSTED,
                    "its signature is not of this content: it was altered after it was signed "
                    "(get it again from whom it is)");
    }
    return EDGETVM_OK;
}

static edgetvm_status check_file(const uint8_t *data, size_t size_bytes,
                                 const uint8_t key[ED25519_KEY_BYTES], edgetvm_error *error)
{
    struct source source = source_of_memory(data, size_bytes);
    struct zip zip;
    edgetvm_status status = zip_open(&zip, &source, error);
    if (status == EDGETVM_OK) {
        status = check(data, size_bytes, &zip, key, error);
    }
    zip_close(&zip);
    return status;
}

edgetvm_status trust_read(const char *path, const char *key_path, uint8_t **data,
                          size_t *size_bytes, edgetvm_error *error)
{
    uint8_t key[ED25519_KEY_BYTES];
    edgetvm_status status = read_key(key_path, key, error);
    if (status != EDGETVM_OK) {
        return status;
    }
    status = read_whole(path, MAX_FILE_BYTES, data, size_bytes, error);
    if (status == EDGETVM_OK) {
        status = check_file(*data, *size_bytes, key, error);
    }
    if (status != EDGETVM_OK) {
        fail_where(error, path);
    }
    return status;
}
