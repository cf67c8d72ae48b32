// SPDX-License-Identifier: Apache-2.0
// State roots, segments, their openings and encodings, and full replay.
#include "training/segment.hpp"

#include "core/hash.hpp"
#include "core/merkle.hpp"
#include "tests/training/fixture.hpp"

namespace trainyard::training {
namespace {

/// A trained segment of six steps, made once.
struct Trained {
    Program program = small_program();
    Hash id = program_id(program);
    Bytes text = make_text(4000);
    std::unique_ptr<Backend> backend = make_cpu_backend({});
    Engine engine = std::move(*Engine::make(program, *backend));
    ModelState last = make_initial_state(program, seed_of(5));
    SegmentLog log;

    Trained() {
        EXPECT_TRUE(run_segment(engine, last, text, {2, Fault::none, {}}).has_value());
        auto made = run_segment(engine, last, text, {6, Fault::none, {}});
        EXPECT_TRUE(made.has_value());
        log = std::move(*made);
    }
    static Trained& get() {
        static Trained trained;
        return trained;
    }
};

TEST(state_root, tiles_are_zero_padded_and_row_major_inside) {
    Tensor t = Tensor::zeros(Shape::matrix(33, 40));
    for (size_t i = 0; i < t.data.size(); ++i) t.data[i] = static_cast<float>(i);
    EXPECT_EQ(tile_count(t.shape), 4U);
    const auto tile = read_tile(t, 3);
    EXPECT_EQ(tile[0], 32.0F * 40 + 32);
    EXPECT_EQ(tile[7], 32.0F * 40 + 39);
    EXPECT_EQ(tile[8], 0.0F);
    EXPECT_EQ(tile[32], 0.0F);
    EXPECT_EQ(tile_count(Shape::vector(1025)), 2U);
    Bytes bytes(4096, 0);
    EXPECT_EQ(tile_leaf(std::vector<float>(1024, 0.0F)), merkle::leaf(bytes));
}

TEST(state_root, sees_a_sign_of_zero_a_shape_and_every_counter) {
    const Trained& t = Trained::get();
    const Hash due = state_root(t.last, t.id);
    ModelState changed = t.last;
    changed.v[0].data[0] = -changed.v[0].data[0];
    EXPECT_NE(state_root(changed, t.id), due);
    changed = t.last;
    changed.step += 1;
    EXPECT_NE(state_root(changed, t.id), due);
    changed = t.last;
    changed.cursor += 1;
    EXPECT_NE(state_root(changed, t.id), due);
    EXPECT_NE(state_root(t.last, Hash{}), due);
    EXPECT_NE(tensor_leaf(Tensor::zeros(Shape::vector(8))),
              tensor_leaf(Tensor::zeros(Shape::matrix(1, 8))));
    EXPECT_NE(tensor_leaf(Tensor::zeros(Shape::matrix(2, 4))),
              tensor_leaf(Tensor::zeros(Shape::matrix(4, 2))));
}

TEST(state_blob, decodes_to_the_same_root) {
    const Trained& t = Trained::get();
    const Bytes blob = encode_state(t.last, t.id);
    const auto state = decode_state(t.program, blob, state_root(t.last, t.id));
    ASSERT_TRUE(state.has_value());
    EXPECT_EQ(encode_state(*state, t.id), blob);
}

TEST(state_blob, has_its_root_wherever_it_lies_on_any_number_of_threads) {
    const Trained& t = Trained::get();
    const Hash root = state_root(t.last, t.id);
    const Bytes blob = encode_state(t.last, t.id);
    Pool three(3);
    for (const size_t shift : {0UL, 1UL, 2UL, 7UL}) {
        Bytes moved(shift);
        append(moved, blob);
        const BytesView view = BytesView(moved).subspan(shift);
        EXPECT_EQ(*blob_root(t.program, view), root) << shift;
        EXPECT_EQ(*blob_root(t.program, view, &three), root) << shift;
        const auto state = decode_state(t.program, view, root, &three);
        ASSERT_TRUE(state.has_value()) << shift;
        EXPECT_EQ(encode_state(*state, t.id), blob) << shift;
    }
}

TEST(state_blob, rejects_other_lengths_programs_counters_and_contents) {
    const Trained& t = Trained::get();
    const Hash root = state_root(t.last, t.id);
    Bytes blob = encode_state(t.last, t.id);
    EXPECT_EQ(decode_state(t.program, BytesView(blob).first(40)).error(), StateError::truncated);
    EXPECT_EQ(decode_state(t.program, {}).error(), StateError::truncated);
    Bytes longer = blob;
    longer.push_back(0);
    EXPECT_EQ(decode_state(t.program, longer).error(), StateError::leftover);
    Bytes other = blob;
    other[5] ^= 1;
    EXPECT_EQ(decode_state(t.program, other).error(), StateError::wrong_program);
    other = blob;
    other[4 + 64 + 8] ^= 1;  // the cursor
    EXPECT_EQ(decode_state(t.program, other).error(), StateError::wrong_shape);
    blob.back() ^= 1;
    EXPECT_EQ(decode_state(t.program, blob, root).error(), StateError::wrong_root);
}

TEST(segment, leaves_have_the_committed_byte_layout) {
    Hash root;
    root[0] = 0xab;
    Bytes unit{0x10, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0x80, 0x3f};
    append(unit, root.bytes);
    EXPECT_EQ(unit_leaf(1, 2, {0x3f800000, root}), sha256(unit));
    Bytes step{0x11, 3, 0, 0, 0};
    append(step, root.bytes);
    append(step, Hash{}.bytes);
    append_le(step, uint32_t{7});
    append_le(step, uint32_t{8});
    step.push_back(0);
    EXPECT_EQ(step_leaf(3, {root, Hash{}, 7, 8, 0}), sha256(step));
    Bytes item{0x12, 4, 0, 0, 0};
    append(item, root.bytes);
    EXPECT_EQ(sequence_leaf(4, root), sha256(item));
}

TEST(segment, every_unit_opens_to_the_claim) {
    const Trained& t = Trained::get();
    const SegmentClaim claim = claim_of(t.log.record);
    EXPECT_EQ(claim.first_step, 2U);
    EXPECT_EQ(claim.last_root, state_root(t.last, t.id));
    for (uint32_t step = 2; step < 8; ++step)
        for (uint32_t j = 0; j < 3; ++j)
            EXPECT_TRUE(verify_unit_opening(claim, 3, open_unit(t.log.record, step, j)));
}

TEST(segment, rejects_openings_that_were_changed_or_moved) {
    const Trained& t = Trained::get();
    const SegmentClaim claim = claim_of(t.log.record);
    const UnitOpening good = open_unit(t.log.record, 4, 1);
    UnitOpening o = good;
    o.unit.loss_bits ^= 1;
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.j = 2;
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.t = 5;
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.t = 100;
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.tuple.norm_bits ^= 1;
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.step_path.pop_back();
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
    o = good, o.unit_path.push_back({});
    EXPECT_FALSE(verify_unit_opening(claim, 3, o));
}

TEST(segment, a_step_hashes_each_gradient_their_sum_and_w_and_seldom_m_and_v) {
    Program program = small_program();
    uint64_t floats = 0;
    for (const Parameter& p : program.parameters) floats += p.shape.count();
    program.run.micro_batches = 1, program.run.segment_length = 1;
    EXPECT_EQ(hashed_bytes_per_step(program), floats * 4 * 4) << "gradient, w, m and v";
    program.run.segment_length = 8;
    EXPECT_EQ(hashed_bytes_per_step(program), floats * (4 + 4 + 1));
    program.run.micro_batches = 3;
    EXPECT_EQ(hashed_bytes_per_step(program), floats * (4 * 4 + 4 + 1));
}

TEST(segment, record_decodes_to_itself) {
    const Trained& t = Trained::get();
    const Bytes encoded = encode_record(t.log.record);
    const auto decoded = decode_record(t.program, encoded);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, t.log.record);
}

TEST(segment, rejects_records_of_another_length_or_shape) {
    const Trained& t = Trained::get();
    const Bytes encoded = encode_record(t.log.record);
    for (size_t n = 0; n < encoded.size(); n += 13)
        EXPECT_FALSE(decode_record(t.program, BytesView(encoded).first(n)).has_value());
    Bytes changed = encoded;
    changed.push_back(0);
    EXPECT_EQ(decode_record(t.program, changed).error(), StateError::leftover);
    changed = encoded;
    changed[8] = 0xff;
    changed[9] = 0xff;
    EXPECT_EQ(decode_record(t.program, changed).error(), StateError::wrong_shape);
    changed = encoded;
    changed[0] ^= 1;
    EXPECT_EQ(decode_record(t.program, changed).error(), StateError::wrong_program);
}

TEST(segment, states_are_regenerated_from_the_log) {
    const Trained& t = Trained::get();
    for (uint32_t step = 2; step <= 8; ++step) {
        const auto state = regenerate_state(t.program, *t.backend, t.log, step);
        ASSERT_TRUE(state.has_value());
        const CommittedStates& due = t.log.record.states;
        EXPECT_EQ(due.is_whole(step - 2) ? state_root(*state, t.id) : weights_root(*state, t.id),
                  due.root(step - 2));
    }
    EXPECT_FALSE(regenerate_state(t.program, *t.backend, t.log, 9).has_value());
}

TEST(segment, replay_gives_roots_and_digest_of_an_honest_provider) {
    Trained& t = Trained::get();
    const auto other = make_cpu_backend({CpuPath::scalar, 2});
    auto engine = Engine::make(t.program, *other);
    ModelState state = t.log.first;
    const auto replayed = replay_segment(*engine, t.text, state, 6);
    ASSERT_TRUE(replayed.has_value());
    const SegmentClaim claim = claim_of(t.log.record);
    EXPECT_EQ(replayed->last_root, claim.last_root);
    EXPECT_EQ(replayed->steps_root, claim.steps_root);
    EXPECT_EQ(replayed->digest, replay_digest(t.log.record));
    EXPECT_EQ(replayed->loss_bits, last_loss_bits(t.log.record));
}

}  // namespace
}  // namespace trainyard::training
