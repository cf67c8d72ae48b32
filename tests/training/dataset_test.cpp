// SPDX-License-Identifier: Apache-2.0
// Data sets, tokenizers and fine-tuning: what is written is read, and what is wrong is refused.
#include "training/dataset.hpp"

#include <functional>

#include "tests/training/fixture.hpp"
#include "tests/training/image_programs.hpp"
#include "training/finetune.hpp"
#include "training/state_root.hpp"
#include "training/tokenizer.hpp"

namespace trainyard::training {
namespace {

Bytes token_data() {
    return make_token_dataset({5, 6, 7, 8, 9, 1}, {0, 2}, 10);
}

TEST(dataset, is_read_as_it_was_written) {
    const auto tokens = inspect_dataset(token_data());
    ASSERT_TRUE(tokens.has_value());
    EXPECT_EQ(tokens->kind, DataKind::tokens_u16);
    EXPECT_EQ(tokens->elements, 6U);
    EXPECT_EQ(tokens->records, 2U);
    EXPECT_EQ(tokens->classes, 10U);
    const auto shapes = make_shapes(20, 7);
    const Bytes blob = *make_image_dataset(shapes, 4);
    const auto images = inspect_dataset(blob);
    ASSERT_TRUE(images.has_value());
    for (size_t i = 0; i < shapes.size(); ++i) EXPECT_EQ(image_at(blob, *images, i), shapes[i]);
    uint64_t all = 0;
    for (const uint64_t n : count_classes(blob, *images)) all += n;
    EXPECT_EQ(all, 20U);
    const auto text = inspect_dataset(make_text(100));
    ASSERT_TRUE(text.has_value());
    EXPECT_EQ(text->kind, DataKind::bytes);
}

void expect_fault(DatasetError due, int64_t where, Bytes blob,
                  const std::function<void(Bytes&)>& change) {
    change(blob);
    const auto read = inspect_dataset(blob);
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().error, due) << to_text(read.error());
    EXPECT_EQ(read.error().where, where) << to_text(read.error());
}

TEST(dataset, rejects_what_is_malformed_and_says_where) {
    expect_fault(DatasetError::empty, -1, {}, [](Bytes&) {});
    expect_fault(DatasetError::truncated, -1, token_data(), [](Bytes& b) { b.resize(20); });
    expect_fault(DatasetError::truncated, 5, token_data(), [](Bytes& b) { b.pop_back(); });
    expect_fault(DatasetError::bad_header, -1, token_data(), [](Bytes& b) { b.push_back(0); });
    expect_fault(DatasetError::bad_header, -1, token_data(), [](Bytes& b) { b[4] = 9; });
    expect_fault(DatasetError::bad_header, -1, token_data(), [](Bytes& b) { b[24] = 1; });
    expect_fault(DatasetError::bad_header, -1, token_data(), [](Bytes& b) { b[56] = 65; });
    expect_fault(DatasetError::too_large, -1, token_data(), [](Bytes& b) { b[15] = 0x7f; });
    expect_fault(DatasetError::bad_index, 0, token_data(), [](Bytes& b) { b[64] = 1; });
    expect_fault(DatasetError::bad_index, 1, token_data(), [](Bytes& b) { b[72] = 6; });
    expect_fault(DatasetError::bad_token, 3, token_data(), [](Bytes& b) { b[80 + 6] = 10; });
    expect_fault(DatasetError::bad_label, 19, *make_image_dataset(make_shapes(20, 7), 4),
                 [](Bytes& b) { b.back() = 4; });
}

TEST(dataset, rejects_images_of_different_sizes_and_labels_beyond_the_classes) {
    auto images = make_shapes(3, 1);
    images[2].height = 8;
    EXPECT_EQ(make_image_dataset(images, 4).error().where, 2);
    EXPECT_EQ(make_image_dataset(make_shapes(9, 1), 2).error().error, DatasetError::bad_label);
    EXPECT_EQ(make_image_dataset({}, 2).error().error, DatasetError::empty);
}

Bytes idx(uint32_t magic, std::initializer_list<uint32_t> dims, const Bytes& body) {
    Bytes out;
    const auto add = [&out](uint32_t x) {
        for (int shift = 24; shift >= 0; shift -= 8)
            out.push_back(static_cast<uint8_t>(x >> shift));
    };
    add(magic);
    for (const uint32_t d : dims) add(d);
    append(out, body);
    return out;
}

TEST(idx, reads_images_and_labels) {
    const auto read = read_idx(idx(0x803, {2, 1, 2}, {1, 2, 3, 4}), idx(0x801, {2}, {7, 9}));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ((*read)[1], (Image{1, 2, 1, 9, {3, 4}}));
}

TEST(idx, rejects_other_magics_counts_and_lengths) {
    const Bytes images = idx(0x803, {2, 1, 2}, {1, 2, 3, 4}), labels = idx(0x801, {2}, {7, 9});
    EXPECT_EQ(read_idx(labels, images).error().error, DatasetError::truncated);
    EXPECT_EQ(read_idx(images, images).error().error, DatasetError::bad_header);
    EXPECT_EQ(read_idx(images, idx(0x801, {3}, {7, 9, 1})).error().error, DatasetError::bad_record);
    EXPECT_EQ(read_idx(idx(0x803, {2, 1, 3}, {1, 2, 3, 4}), labels).error().error,
              DatasetError::truncated);
    EXPECT_EQ(read_idx(idx(0x803, {2, 0xffffffff, 2}, {}), labels).error().error,
              DatasetError::too_large);
    EXPECT_EQ(read_idx({}, {}).error().error, DatasetError::truncated);
}

TEST(tokenizer, is_the_same_for_the_same_text_and_gives_the_text_back) {
    const Bytes text = make_text(4000);
    const Tokenizer t = train_tokenizer(text, 40);
    EXPECT_EQ(t, train_tokenizer(text, 40));
    EXPECT_GT(t.merges.size(), 10U);
    const auto tokens = encode_text(t, text);
    EXPECT_LT(tokens.size(), text.size() / 2);
    EXPECT_EQ(decode_tokens(t, {tokens.begin(), tokens.end()}), text);
    Bytes odd;
    for (int i = 0; i < 2000; ++i) odd.push_back(static_cast<uint8_t>(i * i + i / 7));
    const auto again = encode_text(t, odd);
    EXPECT_EQ(decode_tokens(t, {again.begin(), again.end()}), odd);
}

TEST(tokenizer, merges_the_most_frequent_pair_first_and_the_smaller_of_equals) {
    const Tokenizer t = train_tokenizer(as_bytes("bc bc bc ab ab"), 2);
    ASSERT_EQ(t.merges.size(), 2U);
    EXPECT_EQ(t.merges[0], (std::pair<uint16_t, uint16_t>{'b', 'c'}));
    EXPECT_EQ(t.merges[1], (std::pair<uint16_t, uint16_t>{' ', 'a'}));
}

TEST(gpt, trains_and_samples_with_a_tokenizer) {
    const Bytes text = make_text(4000);
    GptOptions o = small_options();
    o.tokenizer = train_tokenizer(text, 30);
    o.vocabulary = vocabulary_of(o.tokenizer);
    const Bytes blob = make_token_dataset(encode_text(o.tokenizer, text), {0}, o.vocabulary);
    o.data = data_spec_of(*inspect_dataset(blob), Hash{}, blob.size());
    const Program program = small_program(o);
    const auto backend = make_cpu_backend({});
    auto engine = Engine::make(program, *backend);
    ASSERT_TRUE(engine.has_value());
    ModelState state = make_initial_state(program, seed_of(2));
    const auto before = evaluate_held_out(*engine, state.w, blob);
    while (state.step < program.run.steps) ASSERT_TRUE(run_step(*engine, state, blob).has_value());
    EXPECT_LT(as_float(*evaluate_held_out(*engine, state.w, blob)), as_float(*before) - 1.0F);
    SampleOptions s;
    s.count = 20;
    const auto words = sample(program, *backend, state.w, as_bytes("the "), s);
    ASSERT_TRUE(words.has_value());
    EXPECT_GT(words->size(), 20U) << "tokens are longer than bytes";
}

/// A small trained model over `text`, and text of another kind to go on with.
struct Base {
    Bytes text = make_text(4000);
    Program program = small_program();
    std::vector<Tensor> w = make_initial_state(program, seed_of(4)).w;
    Bytes fresh = make_token_dataset(std::vector<uint16_t>(3000, 97), {0}, 256);
};

Result<Program, ProgramFault> finetuned(const Base& base, const FinetuneOptions& o, Bytes& blob) {
    auto made = make_finetune(base.program, base.w, o);
    EXPECT_TRUE(made.has_value());
    blob = with_base(base.fresh, made->base);
    const auto info = inspect_dataset(blob);
    EXPECT_TRUE(info.has_value()) << to_text(info.error());
    return bind_data(std::move(*made), data_spec_of(*info, Hash{}, blob.size()), o);
}

FinetuneOptions finetune_options(uint32_t rank) {
    FinetuneOptions o;
    o.rank = rank;
    o.run.steps = 12, o.run.micro_batches = 2, o.run.sequences = 2, o.run.warmup = 2;
    o.run.learning_rate = 2e-2, o.run.segment_length = 4;
    return o;
}

TEST(finetune, starts_at_the_given_weights_and_learns) {
    const Base base;
    Bytes blob;
    const auto program = finetuned(base, finetune_options(0), blob);
    ASSERT_TRUE(program.has_value()) << to_text(program.error());
    const ModelState first = make_initial_state(*program, seed_of(9), blob);
    for (size_t k = 0; k < base.w.size(); ++k) EXPECT_TRUE(same_bits(first.w[k], base.w[k]));
}

TEST(lora, trains_only_the_updates_and_gives_one_root_on_every_path) {
    const Base base;
    Bytes blob;
    const auto program = finetuned(base, finetune_options(3), blob);
    ASSERT_TRUE(program.has_value()) << to_text(program.error());
    EXPECT_EQ(program->parameters.size(), 2U * 9);
    const auto run = [&](Backend& backend) {
        auto engine = Engine::make(*program, backend, blob);
        EXPECT_TRUE(engine.has_value());
        ModelState state = make_initial_state(*program, seed_of(9), blob);
        const uint32_t before = *evaluate_held_out(*engine, state.w, blob);
        while (state.step < program->run.steps)
            EXPECT_TRUE(run_step(*engine, state, blob).has_value());
        EXPECT_LT(as_float(*evaluate_held_out(*engine, state.w, blob)), as_float(before) - 0.5F);
        return state_root(state, program_id(*program));
    };
    const Hash due = run(*make_reference_backend());
    for (const auto& backend : fast_backends()) EXPECT_EQ(run(*backend), due) << backend->name();
    EXPECT_EQ(*decode_program(encode_program(*program)), *program);
}

TEST(lora, rejects_a_missing_or_poisoned_base) {
    const Base base;
    Bytes blob;
    const auto program = finetuned(base, finetune_options(3), blob);
    ASSERT_TRUE(program.has_value());
    const auto backend = make_cpu_backend({});
    EXPECT_EQ(Engine::make(*program, *backend).error(), EngineError::wrong_shape);
    Bytes poisoned = blob;
    for (size_t i = 0; i < 4; ++i) poisoned[program->data.base_offset + i] = 0xff;
    EXPECT_EQ(Engine::make(*program, *backend, poisoned).error(), EngineError::bad_base);
    Program shorter = *program;
    shorter.data.size_bytes -= 1;
    EXPECT_EQ(validate_program(shorter).error().error, ProgramError::bad_data);
}

}  // namespace
}  // namespace trainyard::training
