/* libFuzzer over the reader: any bytes as a package. Checksums are not compared in this build, so
   that changes reach what lies behind them; what was loaded is never run. */
#include <string.h>

#include "edgetvm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(edgetvm_model *model)
{
    static uint8_t buffer[1 << 16];
    const edgetvm_info *info = edgetvm_get_info(model);
    size_t length = strlen(info->name) + strlen(info->target) + strlen(info->reference);
    for (size_t i = 0; i < info->kernels; i++) {
        length += strlen(edgetvm_kernel_name(model, i));
    }
    for (size_t i = 0; i < edgetvm_input_count(model); i++) {
        length += strlen(edgetvm_input(model, i)->name);
    }
    size_t size = 0;
    if (edgetvm_read_member(model, "sample/input-0.bin", NULL, &size) == EDGETVM_OK &&
        size <= sizeof buffer) {
        (void)edgetvm_read_member(model, "sample/input-0.bin", buffer, &size);
    }
    /* Nothing above may be left out. */
    buffer[0] = (uint8_t)length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    edgetvm_model *model = NULL;
    edgetvm_error error;
    edgetvm_config config = {.threads = 1, .late_arena = true};
    edgetvm_status status = edgetvm_open_memory(data, size, &config, &model, &error);
    bool told = error.text[0] != '\0';
    if ((status == EDGETVM_OK) != (model != NULL) || (status == EDGETVM_OK) == told) {
        __builtin_trap();
    }
    if (model != NULL) {
        look_at(model);
    }
    edgetvm_close(model);
    return 0;
}
