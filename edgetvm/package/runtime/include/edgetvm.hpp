/* The C API of edgetvm.h for C++11: a model that closes itself, and errors as exceptions. */
#ifndef EDGETVM_HPP
#define EDGETVM_HPP

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "edgetvm.h"

namespace edgetvm {

/* what() is one clear sentence. */
class Error : public std::runtime_error {
public:
    Error(edgetvm_status status, const char *text) : std::runtime_error(text), status_(status) {}

    edgetvm_status status() const noexcept { return status_; }

private:
    edgetvm_status status_;
};

/* An opened model. Every member throws Error where it cannot do what is asked. */
class Model {
public:
    explicit Model(const std::string &path, const edgetvm_config &config = edgetvm_config())
    {
        edgetvm_error error;
        edgetvm_model *model = nullptr;
        require(edgetvm_open(path.c_str(), &config, &model, &error), error.text);
        model_.reset(model);
    }

    /* The bytes must stay as they are while the model lives. */
    Model(const void *data, std::size_t size_bytes, const edgetvm_config &config = edgetvm_config())
    {
        edgetvm_error error;
        edgetvm_model *model = nullptr;
        require(edgetvm_open_memory(data, size_bytes, &config, &model, &error), error.text);
        model_.reset(model);
    }

    /* For what is not here. */
    edgetvm_model *get() const noexcept { return model_.get(); }
    const edgetvm_info &info() const noexcept { return *edgetvm_get_info(get()); }

    std::vector<edgetvm_tensor> inputs() const
    {
        return tensors(edgetvm_input_count(get()), edgetvm_input);
    }

    std::vector<edgetvm_tensor> outputs() const
    {
        return tensors(edgetvm_output_count(get()), edgetvm_output);
    }

    template <typename T> void set_input(const std::string &name, const std::vector<T> &values)
    {
        check(edgetvm_set_input(get(), name.c_str(), values.data(), values.size() * sizeof(T)));
    }

    void run() { check(edgetvm_run(get())); }

    /* Elements of another size than T's are refused. */
    template <typename T> std::vector<T> output(const std::string &name) const
    {
        std::size_t index = 0;
        check(edgetvm_find_output(get(), name.c_str(), &index));
        const edgetvm_tensor &tensor = *edgetvm_output(get(), index);
        if (edgetvm_dtype_bytes(tensor.dtype) != sizeof(T)) {
            throw Error(EDGETVM_WRONG_SIZE, "the output's elements are of another size");
        }
        std::vector<T> values(tensor.size_bytes / sizeof(T));
        check(edgetvm_get_output_at(get(), index, values.data(), values.size() * sizeof(T)));
        return values;
    }

    void reset_state() { check(edgetvm_reset_state(get())); }

    /* A member of the package: "labels.txt", … */
    std::string member(const std::string &name) const
    {
        std::size_t size = 0;
        check(edgetvm_read_member(get(), name.c_str(), nullptr, &size));
        std::string data(size, '\0');
        if (size > 0) {
            check(edgetvm_read_member(get(), name.c_str(), &data[0], &size));
        }
        return data;
    }

    void verify() { check(edgetvm_verify(get())); }

private:
    struct Close {
        void operator()(edgetvm_model *model) const noexcept { edgetvm_close(model); }
    };

    static void require(edgetvm_status status, const char *text)
    {
        if (status != EDGETVM_OK) {
            throw Error(status, text);
        }
    }

    void check(edgetvm_status status) const { require(status, edgetvm_error_text(get())); }

    std::vector<edgetvm_tensor> tensors(std::size_t count,
                                        const edgetvm_tensor *(*at)(const edgetvm_model *,
                                                                    std::size_t)) const
    {
        std::vector<edgetvm_tensor> all;
        for (std::size_t index = 0; index < count; index++) {
            all.push_back(*at(get(), index));
        }
        return all;
    }

    std::unique_ptr<edgetvm_model, Close> model_;
};

} // namespace edgetvm

#endif
