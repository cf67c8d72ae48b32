// SPDX-License-Identifier: Apache-2.0
// The verifier on the emulated device: it judges as the CPU does, takes the CPU where memory ends,
// and reports a device that fails.
#include "node/verify/verifier.hpp"
#include "node/wallet/blob.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training/referee/players.hpp"
#include "training/segment.hpp"
#include "training/state_blob.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::node::verify;

/// A trained segment of two steps, from the run's start.
ReplayRequest make_replay() {
    const auto program = tests::make_run({.layers = 1, .width = 16, .steps = 2});
    const Bytes data = tests::make_text(tests::kTextBytes), encoded = encode_program(program);
    ReplayRequest request;
    request.job = {encoded, sha256(encoded), data, Hash{}};
    const auto cpu = training::make_cpu_backend({});
    auto engine = training::Engine::make(program, *cpu, data);
    EXPECT_TRUE(engine);
    training::ModelState state = training::make_initial_state(program, Hash{}, data);
    const auto log = training::run_segment(*engine, state, data, {2, training::Fault::none, {}});
    EXPECT_TRUE(log);
    request.claim = training::claim_of(log->record);
    request.loss_bits = training::last_loss_bits(log->record);
    request.last_blob =
        node::wallet::blob_id(training::encode_state(state, request.job.program_id));
    return request;
}

/// As if the device had passed its self-test.
std::unique_ptr<Verifier> on_device() {
    BackendChoice choice;
    choice.backend =
        cuda::make_cuda_backend(0, nullptr, cuda::Products::fastest, cuda::ProductBlocks::all, 3);
    EXPECT_EQ(choice.backend->pool()->threads(), 3U) << "for what the host hashes";
    return make_local_verifier(std::move(choice), 1);
}

TEST(emulated_verifier, tries_other_products_of_a_device_before_the_cpu) {
    emulated::set_hopper(true);
    emulated::set_faults({.bulk_copies_get_lost = true});
    const BackendChoice choice = choose_backend({});
    emulated::set_faults({});
    emulated::set_hopper(false);
    ASSERT_EQ(choice.tested.size(), 4U);
    EXPECT_EQ(to_text(choice.tested[0]),
              "cuda emulated (alternating): REFUSED, its bits are wrong: linear 130x64x131: the "
              "device failed");
    EXPECT_EQ(choice.tested[1].name, "cuda emulated (pairs)");
    EXPECT_EQ(choice.tested[2].name, "cuda emulated (bulk)");
    EXPECT_FALSE(choice.tested[2].passed());
    EXPECT_EQ(choice.tested[3].name, "cuda emulated (warpgroup)");
    EXPECT_TRUE(choice.tested[3].passed());
}

TEST(emulated_verifier, replays_on_the_device_and_sees_a_false_claim) {
    emulated::set_faults({});
    auto request = make_replay();
    const auto verifier = on_device();
    const auto right = verifier->replay(request);
    ASSERT_TRUE(right) << right.error().text;
    EXPECT_TRUE(right->matches) << right->finding;
    request.claim.last_root.bytes[3] ^= 1;
    const auto wrong = verifier->replay(request);
    ASSERT_TRUE(wrong);
    EXPECT_FALSE(wrong->matches);
}

TEST(emulated_verifier, judges_on_the_cpu_what_does_not_fit_on_the_device) {
    const auto request = make_replay();
    const auto verifier = on_device();
    emulated::set_faults({.memory_bytes_max = emulated::bytes_in_use() + 1000});
    const auto answer = verifier->replay(request);
    emulated::set_faults({});
    ASSERT_TRUE(answer) << answer.error().text;
    EXPECT_TRUE(answer->matches);
}

/// A challenger's turn over an honest segment.
PickRequest make_turn() {
    const ReplayRequest segment = make_replay();
    const auto program = training::decode_program(segment.job.program);
    const auto cpu = training::make_cpu_backend({});
    auto provider = training::referee::Witness::make(
        *program, segment.job.data, *cpu,
        {training::make_initial_state(*program, Hash{}, segment.job.data), 2});
    training::referee::State state;
    state.claim = *provider->claim();
    const auto move = training::referee::provider_move(*provider, state);
    return {segment, training::referee::encode_state(*training::referee::play(state, *move))};
}

TEST(emulated_verifier, takes_turns_of_a_dispute_on_the_device_and_else_on_the_cpu) {
    emulated::set_faults({});
    const auto turn = make_turn();
    for (const bool has_room : {true, false}) {
        const auto verifier = on_device();
        if (!has_room) emulated::set_faults({.memory_bytes_max = emulated::bytes_in_use() + 1000});
        const auto pick = verifier->pick(turn);
        emulated::set_faults({});
        ASSERT_TRUE(pick) << pick.error().text;
        EXPECT_EQ(*pick, Pick());
    }
}

TEST(emulated_verifier, reports_a_device_that_fails) {
    const auto request = make_replay();
    const auto turn = make_turn();
    const auto verifier = on_device();
    emulated::set_faults({.launches_fail = true});
    const auto answer = verifier->replay(request);
    const auto pick = verifier->pick(turn);
    emulated::set_faults({});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, VerifyErrorCode::device_failed);
    ASSERT_FALSE(pick);
    EXPECT_EQ(pick.error().code, VerifyErrorCode::device_failed);
}

}  // namespace
