// Runs a model over a stream, chunk by chunk, and prints the first element of each chunk's output:
//
//     stream model.edgetvm < samples.f32
//
// The model's own states are carried by the runtime. Built by:
//
//     c++ stream.cpp $(pkg-config --cflags --libs edgetvm)
#include <cstdio>
#include <vector>

#include <edgetvm.hpp>

// The first tensor that is not a state.
static edgetvm_tensor first_plain(const std::vector<edgetvm_tensor> &tensors)
{
    for (const edgetvm_tensor &tensor : tensors) {
        if (!tensor.state) {
            return tensor;
        }
    }
    throw edgetvm::Error(EDGETVM_NO_SUCH_TENSOR, "the model has nothing but states");
}

int main(int count, char **arguments)
try {
    if (count != 2) {
        std::fprintf(stderr, "stream model.edgetvm < samples.f32\n");
        return EDGETVM_BAD_ARGUMENT;
    }
    edgetvm::Model model(arguments[1]);
    const edgetvm_tensor input = first_plain(model.inputs());
    const edgetvm_tensor output = first_plain(model.outputs());
    std::vector<float> chunk(input.size_bytes / sizeof(float));
    while (std::fread(chunk.data(), sizeof(float), chunk.size(), stdin) == chunk.size()) {
        model.set_input(input.name, chunk);
        model.run();
        std::printf("%g\n", static_cast<double>(model.output<float>(output.name)[0]));
    }
    return 0;
} catch (const edgetvm::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.status();
}
