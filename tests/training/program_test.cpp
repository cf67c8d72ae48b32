// SPDX-License-Identifier: Apache-2.0
// Programs: canonical encoding, limits with named errors, plans, and the derived graph.
#include "training/program.hpp"

#include <functional>

#include "core/hash.hpp"
#include "tests/training/fixture.hpp"
#include "training/plan.hpp"

namespace trainyard::training {
namespace {

TEST(program, decodes_to_itself) {
    const Program program = small_program();
    const Bytes encoded = encode_program(program);
    const auto decoded = decode_program(encoded);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, program);
    EXPECT_EQ(program_id(program), sha256(encoded));
}

TEST(program, encoding_is_frozen) {
    // A changed hash means a changed format or template: raise the format's number instead.
    EXPECT_EQ(to_hex(program_id(small_program()).bytes),
              "a8871b28dea3f25a31a8cf361eb1f61275bf716b7dc17b13a7ba366211e6905f");
}

void expect_fault(ProgramError due, int64_t where, const std::function<void(Program&)>& change) {
    Program program = small_program();
    change(program);
    const auto checked = validate_program(program);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().error, due) << to_text(checked.error());
    EXPECT_EQ(checked.error().where, where) << to_text(checked.error());
    const auto decoded = decode_program(encode_program(program));
    ASSERT_FALSE(decoded.has_value());
}

TEST(program, rejects_nodes_and_says_which) {
    expect_fault(ProgramError::bad_node, 3, [](Program& p) { p.nodes[3].op = Op::linear_grad; });
    expect_fault(ProgramError::bad_node, 3,
                 [](Program& p) { p.nodes[3].op = static_cast<Op>(99); });
    expect_fault(ProgramError::bad_node, 2, [](Program& p) { p.nodes[2].attributes.push_back(1); });
    expect_fault(ProgramError::bad_edge, 2, [](Program& p) { p.nodes[2].inputs[0] = 5000; });
    expect_fault(ProgramError::bad_edge, 2, [](Program& p) { p.nodes[2].outputs[0] += 1; });
    expect_fault(ProgramError::bad_edge, 4, [](Program& p) { p.nodes[4].inputs[0] = 0; });
    expect_fault(ProgramError::bad_shape, 3, [](Program& p) { p.nodes[3].attributes[0] = 7; });
    expect_fault(ProgramError::bad_shape, 3, [](Program& p) { p.nodes[3].attributes[0] = 0; });
}

TEST(program, rejects_use_of_values_kept_for_the_backward_pass) {
    expect_fault(ProgramError::bad_edge, 4, [](Program& p) {
        p.nodes[4].inputs[0] = p.nodes[3].outputs[1];  // the statistics of attention
    });
}

TEST(program, rejects_results_and_parameters_without_use) {
    expect_fault(ProgramError::bad_node, 1, [](Program& p) {
        p.nodes[2].inputs[0] = p.nodes[0].outputs[0];  // skips the first norm
    });
    expect_fault(ProgramError::bad_parameter, 16, [](Program& p) {
        p.parameters.push_back({"unused", Shape::vector(3), false, Init::zeros, 0});
        for (Node& node : p.nodes) {
            for (uint32_t& v : node.inputs) v += v >= 18 ? 1 : 0;
            for (uint32_t& v : node.outputs) v += 1;
        }
    });
}

TEST(program, rejects_parameters_and_says_which) {
    const auto with = [](const std::function<void(Parameter&)>& change) {
        expect_fault(ProgramError::bad_parameter, 1,
                     [&change](Program& p) { change(p.parameters[1]); });
    };
    with([](Parameter& p) { p.name = ""; });
    with([](Parameter& p) { p.name = "Upper"; });
    with([](Parameter& p) { p.name = "tok_embed.weight"; });
    with([](Parameter& p) { p.name = std::string(65, 'a'); });
    with([](Parameter& p) { p.shape.rank = 3; });
    with([](Parameter& p) { p.shape.rows = 0; });
    with([](Parameter& p) { p.shape.cols = 70000; });
    with([](Parameter& p) { p.init = static_cast<Init>(3); });
    with([](Parameter& p) { p.init_scale_bits = 0x7f800000; });
}

TEST(program, rejects_optimiser_data_and_run_out_of_range) {
    expect_fault(ProgramError::bad_optimiser, -1,
                 [](Program& p) { p.optimiser.b1_bits = bits_of(1.0F); });
    expect_fault(ProgramError::bad_optimiser, -1,
                 [](Program& p) { p.optimiser.b2_bits = 0x7fc00000; });
    expect_fault(ProgramError::bad_optimiser, -1, [](Program& p) { p.optimiser.eps_bits = 0; });
    expect_fault(ProgramError::bad_optimiser, -1,
                 [](Program& p) { p.optimiser.lr_bits.pop_back(); });
    expect_fault(ProgramError::bad_optimiser, 4,
                 [](Program& p) { p.optimiser.lr_bits[4] = bits_of(-0.5F); });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.size_bytes = 10; });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.stride = 0; });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.held_out = 3; });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.held_out = 400; });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.held_out = 112; });
    expect_fault(ProgramError::bad_data, -1, [](Program& p) { p.data.stride = 17; });
    expect_fault(ProgramError::bad_run, -1, [](Program& p) { p.run.steps = 0; });
    expect_fault(ProgramError::bad_run, -1, [](Program& p) { p.run.micro_batches = 1025; });
    expect_fault(ProgramError::bad_run, -1, [](Program& p) { p.run.segment_length = 257; });
    expect_fault(ProgramError::malformed, -1,
                 [](Program& p) { p.recipe = static_cast<Recipe>(7); });
}

TEST(program, rejects_every_truncation_and_leftover) {
    const Bytes encoded = encode_program(small_program());
    for (size_t n = 0; n < encoded.size(); ++n)
        ASSERT_FALSE(decode_program(BytesView(encoded).first(n)).has_value()) << n;
    Bytes longer = encoded;
    longer.push_back(0);
    EXPECT_FALSE(decode_program(longer).has_value());
}

TEST(program, rejects_or_reads_every_changed_byte_without_a_crash) {
    const Bytes encoded = encode_program(small_program());
    size_t accepted = 0;
    for (size_t i = 0; i < encoded.size(); ++i) {
        Bytes changed = encoded;
        changed[i] ^= static_cast<uint8_t>(1 + i % 255);
        const auto decoded = decode_program(changed);
        if (!decoded) continue;
        ++accepted;  // another learning rate, say: then it must be canonical
        EXPECT_EQ(encode_program(*decoded), changed);
    }
    EXPECT_GT(accepted, 0U);
}

TEST(plan, counts_parameters_memory_and_work_of_the_demo) {
    GptOptions o;
    o.data_bytes = 1 << 20;
    const auto p = make_gpt(o);
    ASSERT_TRUE(p.has_value());
    const auto planned = plan(*p);
    ASSERT_TRUE(planned.has_value());
    EXPECT_EQ(planned->parameter_count, 869504U);
    EXPECT_EQ(planned->state_bytes, 3U * 4 * 869504);
    // Per token 4 x 12 x 128^2 + 128 x 256 forward, three times that in all; attention 6 x T x D.
    const uint64_t per_token = 3 * (4 * 12 * 128 * 128 + 128 * 256) + 4 * 6 * 128 * 128;
    EXPECT_EQ(planned->macs_per_step, per_token * 16 * 128);
    EXPECT_LT(planned->arena_bytes, 40U << 20);
}

TEST(plan, values_alive_together_never_overlap) {
    const Program program = small_program();
    const auto training = derive_training_graph(program);
    ASSERT_TRUE(training.has_value());
    const Graph& g = training->graph;
    const Layout layout = layout_arena(g, g.nodes.size(), {training->losses}, training->gradients);
    std::vector<size_t> born(g.values.size(), 0), died(g.values.size(), 0);
    for (size_t i = 0; i < g.nodes.size(); ++i) {
        for (const uint32_t v : g.nodes[i].inputs) died[v] = i;
        for (const uint32_t v : g.nodes[i].outputs) born[v] = died[v] = i;
    }
    died[training->losses] = g.nodes.size();
    for (size_t a = 0; a < g.values.size(); ++a)
        for (size_t b = 0; b < a; ++b) {
            if (layout.offsets[a] == Layout::kOutside || layout.offsets[b] == Layout::kOutside)
                continue;
            const bool together = born[a] < died[b] && born[b] < died[a];
            const size_t end_a = layout.offsets[a] + g.values[a].shape.count() * 4;
            const size_t end_b = layout.offsets[b] + g.values[b].shape.count() * 4;
            const bool overlap = layout.offsets[a] < end_b && layout.offsets[b] < end_a;
            EXPECT_FALSE(together && overlap) << a << " and " << b;
        }
}

}  // namespace
}  // namespace trainyard::training
