// SPDX-License-Identifier: Apache-2.0
// What a side of a dispute computes, where it does, and how often.
#include "tests/training/referee_table.hpp"
#include "training/cpu/backend.hpp"

namespace trainyard::training::referee {
namespace {

/// A fast path that counts its products of layers; as a device it is one whose memory is its own.
class CountingBackend final : public cpu::CpuBackend {
public:
    explicit CountingBackend(bool is_host)
        : CpuBackend(kernels_for(CpuPath::best), 1), is_host_(is_host) {}
    [[nodiscard]] bool is_host() const override { return is_host_; }
    void linear(float* y, const float* x, const float* w, LinearShape s) override {
        ++products;
        CpuBackend::linear(y, x, w, s);
    }
    int products = 0;

private:
    bool is_host_;
};

/// How many products have run since the last time.
int take_products(CountingBackend& backend) {
    return std::exchange(backend.products, 0);
}

TEST(referee_witness, steps_run_on_the_device_and_single_tensors_on_the_host) {
    auto own = std::make_unique<CountingBackend>(true);
    CountingBackend& host = *own;
    CountingBackend device(false);
    const Table table(text_job(), 0, std::move(own));
    Witness witness = table.witness(std::nullopt, &device);
    int of_unit = 0;
    for (const Node& node : table.job.program.nodes) of_unit += node.op == Op::linear ? 1 : 0;
    const int of_step = of_unit * static_cast<int>(table.job.program.run.micro_batches);
    ASSERT_GT(of_unit, 0);

    ASSERT_TRUE(witness.segment().has_value());
    EXPECT_EQ(take_products(device), static_cast<int>(kSteps) * of_step);
    ASSERT_TRUE(witness.gradients(1, 1).has_value());
    EXPECT_EQ(take_products(device), of_unit);
    EXPECT_EQ(take_products(host), 0);

    UnitWishes wishes;
    wishes.roots = true;
    ASSERT_TRUE(witness.unit(1, 0, wishes).has_value());
    EXPECT_EQ(take_products(device), 0);
    EXPECT_EQ(take_products(host), of_unit);

    Witness slips =
        table.witness(Slip{1, 1, SubjectKind::value, 40, 2, std::nullopt, 0x3f8ccccd}, &device);
    ASSERT_TRUE(slips.segment().has_value());
    EXPECT_EQ(take_products(device), static_cast<int>(kSteps) * of_step - of_unit);
    EXPECT_EQ(take_products(host), of_unit) << "the unit that slips";
}

/// One game by two pairs of players, who say the same, byte for byte. Where nothing is wrong the
/// challenger points at random.
void expect_one_game(Table& table, Backend& device, const std::optional<Slip>& slip,
                     uint32_t seed) {
    Witness providers[] = {table.witness(slip), table.witness(slip, &device)};
    Witness challengers[] = {table.witness(std::nullopt), table.witness(std::nullopt, &device)};
    ASSERT_EQ(*providers[0].claim(), *providers[1].claim());
    State state = start_of(providers[0]);
    for (uint32_t moves = 0; turn_of(state.phase) != Turn::nobody; ++moves) {
        Bytes move;
        if (turn_of(state.phase) == Turn::provider) {
            move = *provider_move(providers[0], state);
            ASSERT_EQ(move, *provider_move(providers[1], state)) << to_text(state.phase);
        } else {
            auto pick = *challenger_pick(challengers[0], state);
            ASSERT_EQ(pick, *challenger_pick(challengers[1], state)) << to_text(state.phase);
            const uint32_t count = choices(state);
            if (!pick && count > 0) pick = philox({moves, 0, 0, 0}, seed, 6)[0] % count;
            if (!pick) return;
            move = move::pick(*pick);
        }
        const auto next = play(state, move);
        if (next) state = *next;
        if (!next && turn_of(state.phase) == Turn::provider) return;
    }
}

TEST(referee_witness, games_are_the_same_wherever_steps_run) {
    CountingBackend device(false);
    Table table(text_job(), 0, make_reference_backend());
    const uint32_t bits = 0x3f8ccccd;
    for (const SubjectKind kind : {SubjectKind::value, SubjectKind::unit_loss, SubjectKind::sum,
                                   SubjectKind::squares, SubjectKind::state, SubjectKind::init}) {
        const uint32_t index = kind == SubjectKind::value ? 40 : 0;
        expect_one_game(table, device, Slip{1, 1, kind, index, 0, std::nullopt, bits}, 0);
    }
    for (uint32_t seed = 0; seed < 12; ++seed) expect_one_game(table, device, std::nullopt, seed);
}

TEST(referee_witness, a_step_of_a_segment_that_has_run_is_near_a_kept_state) {
    CountingBackend device(false);
    const Table table(text_job());
    constexpr uint32_t kMany = 10;
    Witness witness = *Witness::make(table.job.program, table.job.data, *table.backend,
                                     {table.first(), kMany, std::nullopt, &device});
    ASSERT_TRUE(witness.segment(1).has_value());
    const int of_step = take_products(device);
    ASSERT_TRUE(witness.segment().has_value());
    EXPECT_EQ(take_products(device), static_cast<int>(kMany - 1) * of_step);
    const SegmentRun run = **witness.segment();
    for (const uint32_t t : {9U, 0U, 5U, 2U, 8U, 7U, 8U}) {
        const auto step = witness.step(t);
        ASSERT_TRUE(step.has_value());
        EXPECT_EQ(step_leaf(t, (*step)->tuple), run.values[2 * t + 1]);
        EXPECT_LE(take_products(device), 3 * of_step) << t;
    }
}

}  // namespace
}  // namespace trainyard::training::referee
