// Runs ncnn for 32-bit ARM, for which it has no wheel: ncnn32 PARAM BIN INPUTS ANSWERS [direct]
//
// As benchmarks/latency/engines/ncnn_.py does: float32 throughout, one thread, pools for memory, an
// extractor for each run. INPUTS: for each, in order, the number of axes and their extents as 32-bit
// words, then its elements of 32 bits. ANSWERS gets the elements of all outputs. Runs are marked for
// edgetvm's plugin.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <unistd.h>

#include "allocator.h"
#include "net.h"

enum { BEGIN = 1, END, RUNS = 3 };

static void mark(int what)
{
    close(static_cast<int>(0xED6E7300u | static_cast<unsigned>(what)));
}

static void fail(const char *what)
{
    fprintf(stderr, "ncnn32: %s\n", what);
    exit(1);
}

static uint32_t word(FILE *file)
{
    uint32_t value = 0;
    if (fread(&value, sizeof value, 1, file) != 1)
        fail("the inputs end early");
    return value;
}

static ncnn::Mat mat(FILE *file)
{
    int extents[4] = {1, 1, 1, 1};
    const int rank = static_cast<int>(word(file));
    for (int axis = 0; axis < rank; axis++)
        extents[4 - rank + axis] = static_cast<int>(word(file));
    ncnn::Mat made;
    if (rank == 1)
        made.create(extents[3]);
    else if (rank == 2)
        made.create(extents[3], extents[2]);
    else if (rank == 3)
        made.create(extents[3], extents[2], extents[1]);
    else
        made.create(extents[3], extents[2], extents[1], extents[0]);
    for (int channel = 0; channel < made.c; channel++) {
        ncnn::Mat part = made.channel(channel);
        const size_t count = static_cast<size_t>(made.w) * made.h * made.d;
        if (fread(part.data, sizeof(float), count, file) != count)
            fail("the inputs end early");
    }
    return made;
}

static std::vector<ncnn::Mat> inputs(const char *path, size_t count)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot read the inputs");
    std::vector<ncnn::Mat> found;
    while (found.size() < count)
        found.push_back(mat(file));
    fclose(file);
    return found;
}

static std::vector<ncnn::Mat> run(const ncnn::Net &net, const std::vector<ncnn::Mat> &given)
{
    ncnn::Extractor extractor = net.create_extractor();
    for (size_t i = 0; i < given.size(); i++)
        extractor.input(net.input_names()[i], given[i]);
    std::vector<ncnn::Mat> found;
    for (const char *name : net.output_names()) {
        ncnn::Mat mat;
        if (extractor.extract(name, mat))
            fail("it cannot compute an output");
        found.push_back(mat);
    }
    return found;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        fail("usage: ncnn32 PARAM BIN INPUTS ANSWERS [direct]");
    ncnn::UnlockedPoolAllocator blobs;
    ncnn::PoolAllocator workspace;
    ncnn::Net net;
    net.opt.num_threads = 1;
    net.opt.use_winograd_convolution = argc < 6;
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = false;
    net.opt.use_fp16_arithmetic = net.opt.use_fp16_uniform = false;
    net.opt.use_bf16_storage = net.opt.use_bf16_packed = false;
    net.opt.blob_allocator = &blobs;
    net.opt.workspace_allocator = &workspace;
    if (net.load_param(argv[1]) || net.load_model(argv[2]))
        fail("ncnn cannot load the model");
    const std::vector<ncnn::Mat> given = inputs(argv[3], net.input_names().size());
    std::vector<ncnn::Mat> answers = run(net, given);
    run(net, given);
    mark(BEGIN);
    mark(END);
    for (int i = 0; i < RUNS; i++) {
        mark(BEGIN);
        run(net, given);
        mark(END);
    }
    FILE *out = fopen(argv[4], "wb");
    if (!out)
        fail("cannot write the answers");
    for (const ncnn::Mat &answer : answers)
        for (int channel = 0; channel < answer.c; channel++)
            fwrite(answer.channel(channel).data, sizeof(float),
                   static_cast<size_t>(answer.w) * answer.h * answer.d, out);
    fclose(out);
    return 0;
}
