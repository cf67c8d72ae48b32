// SPDX-License-Identifier: Apache-2.0
// Whether a job fits a machine, from what its program and data say.
#include <gtest/gtest.h>

#include "core/hash.hpp"
#include "fake_market.hpp"
#include "node/provider/offers.hpp"

namespace trainyard::test {
namespace {

TEST(offers, a_data_set_takes_memory_too) {
    const auto ledger = std::make_shared<FakeLedger>();
    const auto market = fake_market(ledger, {});
    node::provider::OfferRules rules;
    rules.memory_bytes_max = 1u << 30;
    for (const uint64_t size : {uint64_t{1} << 20, uint64_t{1} << 30}) {
        training::GptOptions gpt;
        gpt.layers = 1, gpt.width = 32, gpt.heads = 2, gpt.sequence = 16, gpt.steps = 8;
        gpt.segment_length = 4, gpt.micro_batches = 2;
        gpt.data_bytes = size;
        const auto program = training::make_gpt(gpt);
        ASSERT_TRUE(program) << training::to_text(program.error());
        const Bytes encoded = training::encode_program(*program);
        wallet::JobSpec spec;
        spec.program = *market->put_blob(encoded);
        spec.program_id = sha256(encoded);
        spec.data = program->data.root;
        spec.segments = 2, spec.steps_per_segment = 4, spec.micro_batches = 2;
        const auto fetched = node::provider::fetch_program(*market, spec, rules);
        EXPECT_EQ(fetched.has_value(), size < rules.memory_bytes_max)
            << (fetched ? "" : fetched.error());
    }
}

}  // namespace
}  // namespace trainyard::test
