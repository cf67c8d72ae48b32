// SPDX-License-Identifier: Apache-2.0
// Models, pictures and texts of other programs: what is taken is a program that is valid but for
// its data, with all its weights, and what is not is refused in words. The first byte says which.
#include <string>

#include "core/assert.hpp"
#include "node/data/ingest.hpp"
#include "node/data/png.hpp"
#include "node/imports/imported.hpp"
#include "training/engine.hpp"

namespace trainyard::node {
namespace {

void check(const Result<imports::Imported, std::string>& made) {
    if (!made) {
        ASSERT(!made.error().empty());
        return;
    }
    ASSERT(training::validate_program(made->program).has_value());
    const auto shapes = training::parameter_shapes(made->program);
    ASSERT(shapes.size() == made->w.size());
    for (size_t i = 0; i < shapes.size(); ++i) ASSERT(shapes[i] == made->w[i].shape);
}

/// The configuration up to the first zero byte, then the tensors.
void hugging_face(BytesView data) {
    size_t cut = 0;
    while (cut < data.size() && data[cut] != 0) ++cut;
    const std::string config(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(cut));
    check(imports::import_hugging_face(config, data.subspan(std::min(cut + 1, data.size())), 4));
}

void onnx(BytesView data) {
    check(imports::import_onnx(data));
}

void png(BytesView data) {
    const auto image = data::read_png(data, 64);
    if (!image) return;
    const auto written = data::write_png(*image);
    ASSERT(written);
    const auto again = data::read_png(*written, 64);
    ASSERT(again && *again == *image);
}

void jsonl(BytesView data) {
    const std::string lines(data.begin(), data.end());
    const auto texts = data::read_jsonl(lines, "text");
    if (!texts) ASSERT(!texts.error().empty());
}

void fuzz_one(BytesView data) {
    using Reader = void (*)(BytesView);
    static constexpr Reader kReaders[] = {hugging_face, onnx, png, jsonl};
    if (!data.empty()) kReaders[data[0] % std::size(kReaders)](data.subspan(1));
}

}  // namespace
}  // namespace trainyard::node

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::node::fuzz_one({data, size});
    return 0;
}
