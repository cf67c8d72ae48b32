// SPDX-License-Identifier: Apache-2.0
// The templates for images learn, give one root on every path, and images come out of diffusion.
#include "training/templates.hpp"

#include <functional>

#include "tests/training/fixture.hpp"
#include "tests/training/image_programs.hpp"
#include "training/graph.hpp"
#include "training/image_sample.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {
namespace {

ModelState train(const Program& program, Backend& backend, const Bytes& data, uint32_t steps) {
    auto engine = Engine::make(program, backend, data);
    EXPECT_TRUE(engine.has_value());
    ModelState state = make_initial_state(program, seed_of(3), data);
    for (uint32_t t = 0; t < steps; ++t) EXPECT_TRUE(run_step(*engine, state, data).has_value());
    return state;
}

Evaluation evaluated(const Program& program, Backend& backend, const std::vector<Tensor>& w,
                     const Bytes& data) {
    auto engine = Engine::make(program, backend, data);
    EXPECT_TRUE(engine.has_value());
    const auto result = evaluate(*engine, w, data);
    EXPECT_TRUE(result.has_value());
    return *result;
}

TEST(templates, encode_and_decode_to_themselves) {
    for (const Program& program : image_programs()) {
        const auto decoded = decode_program(encode_program(program));
        ASSERT_TRUE(decoded.has_value()) << to_text(decoded.error());
        EXPECT_EQ(*decoded, program);
    }
}

TEST(templates, give_one_root_on_every_path) {
    const Bytes data = shapes_data();
    for (const Program& program : image_programs()) {
        const auto root = [&](Backend& backend) {
            return state_root(train(program, backend, data, 2), program_id(program));
        };
        const Hash due = root(*make_reference_backend());
        for (const auto& backend : fast_backends())
            EXPECT_EQ(root(*backend), due) << backend->name();
    }
}

TEST(templates, classifiers_learn_the_shapes) {
    const Bytes data = shapes_data();
    const auto backend = make_cpu_backend({});
    for (const Program& program : {mlp_program(), cnn_program()}) {
        const auto state = train(program, *backend, data, program.run.steps);
        const Evaluation got = evaluated(program, *backend, state.w, data);
        EXPECT_GT(got.rows, 0U);
        EXPECT_GT(got.correct * 20, got.rows * 9) << as_float(got.loss_bits);
    }
}

TEST(templates, diffusion_learns_and_images_are_the_same_on_every_path) {
    const Bytes data = shapes_data();
    const auto backend = make_cpu_backend({});
    const Program program = diffusion_program();
    const auto state = train(program, *backend, data, program.run.steps);
    EXPECT_LT(as_float(evaluated(program, *backend, state.w, data).loss_bits), 0.7F);
    ImageSampleOptions o;
    o.count = 2, o.steps = 3, o.height = o.width = 16;
    const auto due = sample_images(program, *make_reference_backend(), state.w, o);
    ASSERT_TRUE(due.has_value());
    EXPECT_EQ(due->size(), 2U);
    EXPECT_NE((*due)[0], (*due)[1]);
    for (const auto& other : fast_backends())
        EXPECT_EQ(*sample_images(program, *other, state.w, o), *due) << other->name();
}

TEST(templates, rejects_sampling_images_from_a_classifier) {
    const Program program = mlp_program();
    const auto backend = make_cpu_backend({});
    ImageSampleOptions o;
    o.height = o.width = 16;
    const auto w = make_initial_state(program, seed_of(1)).w;
    EXPECT_EQ(sample_images(program, *backend, w, o).error(), EngineError::wrong_shape);
    EXPECT_EQ(sample(program, *backend, w, {}, {}).error(), EngineError::wrong_shape);
}

TEST(templates, rejects_sizes_that_do_not_fit) {
    CnnOptions cnn{image_options(4), 5, 8};
    EXPECT_EQ(make_cnn(cnn).error().error, ProgramError::bad_shape);
    DiffusionOptions diffusion{image_options(4), 12, 50};
    EXPECT_EQ(make_diffusion(diffusion).error().error, ProgramError::bad_shape);
    MlpOptions mlp{image_options(4), 100, 8};
    EXPECT_EQ(make_mlp(mlp).error().error, ProgramError::too_large);
    MlpOptions text{image_options(4), 1, 8};
    text.image.data = DataSpec{};
    EXPECT_EQ(make_mlp(text).error().error, ProgramError::bad_data);
}

TEST(rope_table, holds_cosines_and_sines) {
    const auto table = rope_table(5, 4, 10000.0);
    const float due[] = {-0.6536436F, 0.9992001F, -0.7568025F, 0.0399893F};  // of 4 and 0.04
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(table[16 + i], due[i], 1e-6F);
}

void expect_fault(ProgramError due, const std::function<void(Program&)>& change) {
    Program program = diffusion_program();
    change(program);
    const auto checked = validate_program(program);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().error, due) << to_text(checked.error());
    EXPECT_FALSE(decode_program(encode_program(program)).has_value());
}

TEST(program_2, rejects_constants_data_and_tokenizers_that_do_not_fit) {
    expect_fault(ProgramError::bad_parameter, [](Program& p) { p.constants[0].data.pop_back(); });
    expect_fault(ProgramError::bad_parameter,
                 [](Program& p) { p.constants[0].name = p.parameters[0].name; });
    expect_fault(ProgramError::bad_parameter,
                 [](Program& p) { p.constants[0].source = ConstantSource::base_int8; });
    expect_fault(ProgramError::bad_parameter, [](Program& p) {
        for (size_t i = 0; i < 4; ++i) p.constants[0].data[i] = 0xff;  // a NaN
    });
    expect_fault(ProgramError::bad_parameter,
                 [](Program& p) { p.parameters[0].init = Init::given; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.data.elements += 1; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.data.channels = 65; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.data.payload_offset = ~0ULL; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.data.base_offset = 100; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.tokenizer.merges = {{1, 2}}; });
    expect_fault(ProgramError::bad_data, [](Program& p) { p.tokenizer.merges = {{256, 2}}; });
    expect_fault(ProgramError::bad_optimiser, [](Program& p) { p.optimiser.clip_bits = 0; });
    expect_fault(ProgramError::bad_optimiser,
                 [](Program& p) { p.optimiser.kind = OptimiserKind::sgd; });
    expect_fault(ProgramError::too_large, [](Program& p) {  // tokens that double in length
        p.tokenizer.merges = {{97, 97}};
        for (uint16_t i = 0; i < 20; ++i) p.tokenizer.merges.emplace_back(256 + i, 256 + i);
    });
}

TEST(program_2, names_the_operator_and_its_shapes) {
    Program program = mlp_program();
    program.nodes[1].inputs[0] = 0;  // linear on the features themselves
    const auto checked = validate_program(program);
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(checked.error().where, 1);
    EXPECT_NE(to_text(checked.error()).find("linear: 1024x3 768x32"), std::string::npos)
        << to_text(checked.error());
}

TEST(program_2, rejects_or_reads_every_changed_byte_without_a_crash) {
    const Bytes encoded = encode_program(mlp_program());
    for (size_t i = 0; i < encoded.size(); i += 3) {
        Bytes changed = encoded;
        changed[i] ^= static_cast<uint8_t>(1 + i % 255);
        const auto decoded = decode_program(changed);
        if (!decoded) continue;
        EXPECT_EQ(encode_program(*decoded), changed);
    }
}

}  // namespace
}  // namespace trainyard::training
