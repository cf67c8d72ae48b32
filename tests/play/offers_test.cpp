// SPDX-License-Identifier: Apache-2.0
// Whether a job fits a machine and the market, from what its program and data say.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "fake_market.hpp"
#include "node/provider/offers.hpp"

namespace trainyard::test {
namespace {

/// Why a provider does not take a job of that program; empty if nothing stands against it.
std::string refusal(uint64_t data_bytes, uint32_t steps, uint64_t undeclared_work = 0) {
    const auto ledger = std::make_shared<FakeLedger>();
    const auto market = fake_market(ledger, {});
    node::provider::OfferRules rules;
    rules.memory_bytes_max = 1u << 30;
    training::GptOptions gpt;
    gpt.layers = 1, gpt.width = 32, gpt.heads = 2, gpt.sequence = 16, gpt.steps = steps;
    gpt.segment_length = 4, gpt.micro_batches = 2;
    gpt.data_bytes = data_bytes;
    const auto program = training::make_gpt(gpt);
    EXPECT_TRUE(program) << training::to_text(program.error());
    const Bytes encoded = training::encode_program(*program);
    wallet::JobSpec spec;
    spec.program = *market->put_blob(encoded);
    spec.program_id = sha256(encoded);
    spec.data = program->data.root;
    spec.segments = steps / 4, spec.steps_per_segment = 4, spec.micro_batches = 2;
    spec.unit_work = training::audit_unit_work(*program, ledger->limits) - undeclared_work;
    const auto fetched = node::provider::fetch_program(*market, spec, rules);
    return fetched ? "" : fetched.error();
}

TEST(offers, a_data_set_takes_memory_too) {
    EXPECT_EQ(refusal(uint64_t{1} << 20, 8), "");
    EXPECT_NE(refusal(uint64_t{1} << 30, 8).find("MiB, our limit is 1024"), std::string::npos);
}

TEST(offers, a_program_that_does_not_fit_into_a_move_of_a_dispute_cannot_be_defended) {
    EXPECT_EQ(refusal(uint64_t{1} << 20, 20'000), "");
    EXPECT_NE(refusal(uint64_t{1} << 20, 40'000).find("could not be defended"), std::string::npos);
}

TEST(offers, a_job_must_declare_what_its_audits_take) {
    EXPECT_EQ(refusal(uint64_t{1} << 20, 8), "");
    EXPECT_NE(refusal(uint64_t{1} << 20, 8, 1).find("work of a unit"), std::string::npos);
}

}  // namespace
}  // namespace trainyard::test
