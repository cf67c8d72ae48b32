// SPDX-License-Identifier: Apache-2.0
// Parameters with given values, and the placeholder for data.
#include "node/imports/imported.hpp"

#include <algorithm>

namespace trainyard::node::imports {

using training::DataKind;
using training::Tensor;

training::Ref WeightedBuilder::parameter(const std::string& name, Tensor value) {
    std::string plain = name;
    for (char& c : plain) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        const bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
        if (!fine) c = '_';
    }
    if (plain.size() > 64) plain = plain.substr(plain.size() - 64);
    const auto ref = graph.zeros(plain, value.shape);
    w.push_back(std::move(value));
    return ref;
}

Result<Imported, std::string> WeightedBuilder::finish(const training::DataSpec& data) {
    Imported out;
    graph.finish(out.program);
    out.program.data = data;
    const bool images = data.kind == DataKind::images;
    out.program.data.stride = images ? 1 : data.sequence;
    out.program.data.elements = images ? 1 : uint64_t{data.sequence} + 1;
    out.program.data.size_bytes =
        out.program.data.elements * training::element_bytes(out.program.data);
    training::RunOptions run;
    run.steps = 1, run.micro_batches = 1, run.sequences = 1, run.segment_length = 1;
    run.warmup = 1, run.held_out = 0;
    training::set_run(out.program, run);
    out.w = std::move(w);
    const auto valid = training::validate_program(out.program);
    if (!valid) return unexpected("the model makes no program: " + to_text(valid.error()));
    return out;
}

Tensor turned(const Tensor& t) {
    Tensor out = Tensor::zeros(training::Shape::matrix(t.shape.cols, t.shape.rows));
    for (size_t r = 0; r < t.shape.rows; ++r)
        for (size_t c = 0; c < t.shape.cols; ++c)
            out.data[c * t.shape.rows + r] = t.data[r * t.shape.cols + c];
    return out;
}

}  // namespace trainyard::node::imports
