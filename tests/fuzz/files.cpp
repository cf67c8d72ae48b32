// SPDX-License-Identifier: Apache-2.0
// Files and blobs of strangers: whatever is read says what it is, and writing it again gives the
// same bytes where there is one encoding. The first byte says which reader.
#include "core/assert.hpp"
#include "tests/training/small_program.hpp"
#include "training/audit.hpp"
#include "training/audit_format.hpp"
#include "training/checkpoint.hpp"
#include "training/dataset.hpp"
#include "training/safetensors.hpp"
#include "training/segment.hpp"
#include "training/state_blob.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::training {
namespace {

/// What the readers of states, checkpoints, records and bundles are told to expect.
const Program& small_program() {
    static const Program program = [] {
        GptOptions o;
        o.layers = 1, o.width = 2, o.heads = 1, o.sequence = 2, o.vocabulary = 2;
        o.steps = 2, o.micro_batches = 2, o.sequences = 1, o.segment_length = 2, o.held_out = 0;
        o.data_bytes = 64;
        return *make_gpt(o);
    }();
    return program;
}

bool same(const Bytes& a, BytesView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void read_program(BytesView data) {
    const auto program = decode_program(data);
    if (!program) {
        ASSERT(!to_text(program.error()).empty());
        return;
    }
    ASSERT(same(encode_program(*program), data));
    const auto planned = plan(*program);
    if (!planned) return;
    ASSERT(host_bytes(*planned, {}) >= planned->arena_bytes);
    ASSERT(derive_training_graph(*program).has_value());
}

void read_tokenizer(BytesView data) {
    const auto tokenizer = decode_tokenizer(data);
    if (!tokenizer) return;
    ASSERT(same(encode_tokenizer(*tokenizer), data));
    const auto tokens = encode_text(*tokenizer, data);
    ASSERT(same(decode_tokens(*tokenizer, {tokens.begin(), tokens.end()}), data));
}

void read_dataset(BytesView data) {
    const auto info = inspect_dataset(data);
    if (!info) return;
    (void)count_classes(data, *info);
    if (info->kind != DataKind::images) return;
    for (uint64_t i = 0; i < info->records; ++i) {
        const Image image = image_at(data, *info, i);
        ASSERT(image.pixels.size() == size_t{info->height} * info->width * info->channels);
    }
}

/// The labels' length, labels, images.
void read_idx_pair(BytesView data) {
    if (data.empty()) return;
    const size_t cut = data[0] % data.size();
    const auto images = read_idx(data.subspan(1 + cut), data.subspan(1, cut));
    if (images) (void)make_image_dataset(*images, 256);
}

void read_tensors(BytesView data) {
    const auto file = read_safetensors(data);
    if (!file) return;
    for (const auto& t : file->tensors) ASSERT(t.tensor.data.size() == t.tensor.shape.count());
    const auto again = read_safetensors(write_safetensors(file->tensors, file->metadata));
    ASSERT(again && again->tensors.size() == file->tensors.size());
    (void)read_model(small_program(), data);
}

void read_states(BytesView data) {
    const Hash id = program_id(small_program());
    if (const auto state = decode_state(small_program(), data))
        ASSERT(same(encode_state(*state, id), data));
    if (const auto checkpoint = decode_checkpoint(small_program(), data))
        ASSERT(same(encode_checkpoint(*checkpoint, id), data));
}

void read_record(BytesView data) {
    const auto record = decode_record(small_program(), data);
    if (record) ASSERT(same(encode_record(*record), data));
}

void read_bundle(BytesView data) {
    const AuditDraws draws{{{0, 1}, {1, 0}}, {{0, 0}, {1, 0}}};
    auto content = bundle::decode(small_program(), {0, 2, {}, {}, {}}, draws, data);
    if (!content) return;
    for (auto& step : content->weights)
        step.w = ::trainyard::training::read_tensors(
            bundle::weights_in(small_program(), step, data), nullptr);
    ASSERT(same(bundle::encode(*content), data));
}

void fuzz_one(BytesView data) {
    using Reader = void (*)(BytesView);
    static constexpr Reader kReaders[] = {read_program, read_tokenizer, read_dataset, read_idx_pair,
                                          read_tensors, read_states,    read_record,  read_bundle};
    if (!data.empty()) kReaders[data[0] % std::size(kReaders)](data.subspan(1));
}

}  // namespace
}  // namespace trainyard::training

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::training::fuzz_one({data, size});
    return 0;
}
