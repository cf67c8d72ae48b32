// SPDX-License-Identifier: Apache-2.0
// The update of a step by lines, and elements of the initial state.
#include "tests/training/referee_fixture.hpp"
#include "training/referee/subject.hpp"
#include "training/update.hpp"

namespace trainyard::training::referee {
namespace {

/// A step of the small program, and the states and gradients around it.
struct OneStep {
    Program program;
    ModelState before, after;
    std::vector<std::vector<Tensor>> units;  ///< gradients of micro-batches
    std::vector<Tensor> sum;
    uint32_t norm_bits = 0;

    explicit OneStep(Program p) : program(std::move(p)) {
        const auto backend = make_reference_backend();
        const Bytes text = make_text(4000);
        Engine engine = std::move(*Engine::make(program, *backend));
        before = make_initial_state(program, seed_of(4));
        EXPECT_TRUE(run_step(engine, before, text).has_value());  // so that m and v are not zero
        after = before;
        EXPECT_TRUE(engine.load_weights(before.w).has_value());
        for (uint32_t j = 0; j < program.run.micro_batches; ++j)
            units.push_back(run_micro_batch(engine, text, before.run_seed, before.step, j)
                                ->gradients.to_host());
        auto step = run_step(engine, after, text);
        EXPECT_TRUE(step.has_value());
        sum = step->gradients.to_host();
        norm_bits = step->norm_bits;
    }

    [[nodiscard]] Subject subject(SubjectKind kind, size_t index) const {
        Subject out;
        out.kind = kind;
        out.index = static_cast<uint32_t>(index);
        EXPECT_TRUE(resolve(out, program, {before.run_seed, before.step, 0, norm_bits}));
        return out;
    }
};

std::optional<uint32_t> follow(const Subject& subject, uint32_t element,
                               const std::vector<const Tensor*>& in) {
    return evaluate(subject.call, Term{kOutput, subject.port, element},
                    [&](uint32_t port, uint32_t e) { return bits_of(in.at(port)->data.at(e)); });
}

void expect_sums(const OneStep& step, size_t k) {
    const Subject subject = step.subject(SubjectKind::sum, k);
    std::vector<const Tensor*> in;
    for (const auto& unit : step.units) in.push_back(&unit[k]);
    for (uint32_t e = 0; e < step.sum[k].data.size(); e += 7)
        ASSERT_EQ(follow(subject, e, in), bits_of(step.sum[k].data[e])) << k << " " << e;
}

void expect_weights(const OneStep& step, size_t k) {
    const Tensor* const due[] = {&step.after.w[k], &step.after.m[k], &step.after.v[k]};
    for (size_t group = 0; group < 3; ++group) {
        const Subject subject =
            step.subject(SubjectKind::state, group * step.program.parameters.size() + k);
        for (uint32_t e = 0; e < step.sum[k].data.size(); e += 7)
            ASSERT_EQ(
                follow(subject, e,
                       {&step.before.w[k], &step.before.m[k], &step.before.v[k], &step.sum[k]}),
                bits_of(due[group]->data[e]))
                << k << " " << group << " " << e;
    }
}

float squares_of(const OneStep& step, size_t k) {
    const auto number = follow(step.subject(SubjectKind::squares, k), 0, {&step.sum[k]});
    EXPECT_TRUE(number.has_value());
    return as_float(*number);
}

/// The norm and the whole state after a step follow from the units' gradients.
void expect_lines_give_the_step(const Program& program) {
    const OneStep step(program);
    float total = 0.0F;
    for (size_t k = 0; k < program.parameters.size(); ++k) {
        expect_sums(step, k);
        expect_weights(step, k);
        total = total + squares_of(step, k);
    }
    EXPECT_EQ(bits_of(std::sqrt(total)), step.norm_bits);
    EXPECT_GT(as_float(step.norm_bits), as_float(program.optimiser.clip_bits)) << "clips nothing";
}

TEST(referee_update, adamw) {
    GptOptions options = small_options();
    options.micro_batches = 5;
    options.layers = 1;
    Program program = small_program(options);
    program.optimiser.clip_bits = bits_of(0.25F);
    expect_lines_give_the_step(program);
}

TEST(referee_update, sgd) {
    Program program = small_program();
    Optimiser& o = program.optimiser;
    o.kind = OptimiserKind::sgd;
    o.b2_bits = o.eps_bits = 0;
    o.clip_bits = bits_of(0.25F);
    expect_lines_give_the_step(program);
}

TEST(referee_update, sums_of_more_elements_than_a_line_has) {
    const std::vector<float> g = noise(9001, 3);
    const auto backend = make_reference_backend();
    float squares = 0, sum = 0;
    backend->sum_squares(&squares, g.data(), g.size());
    backend->sum(&sum, g.data(), g.size());
    const Inputs inputs = [&](uint32_t, uint32_t e) { return bits_of(g.at(e)); };
    Call call;
    call.in = {m(1, 9001)};
    call.out = {Shape::vector(1)};
    call.op = Op::sum_squares;
    EXPECT_EQ(evaluate(call, {kOutput}, inputs), bits_of(squares));
    call.op = Op::mean_loss;
    EXPECT_EQ(evaluate(call, {kOutput}, inputs), bits_of(sum / 9001.0F));
}

TEST(referee_update, no_line_is_longer_than_the_largest_program_allows) {
    Call call;
    call.op = Op::sum_gradients;
    call.in = call.out = {m(65536, 32768)};
    call.attributes = {ProgramLimits::micro_batches_max};
    EXPECT_EQ(line_of(call, {kOutput}).parts.size(), ProgramLimits::micro_batches_max);
    call.op = Op::sum_squares;
    Term term{kOutput};
    while (term.kind != kInput) {
        const Line line = line_of(call, term);
        ASSERT_LE(line.parts.size(), kPartsMax);
        term = line.parts.back();
    }
    EXPECT_EQ(term.a, (1U << 31) - 1);
}

TEST(referee_update, elements_of_the_initial_state) {
    Program program = small_program();
    const ModelState state = make_initial_state(program, seed_of(4));
    const auto parameters = static_cast<uint32_t>(program.parameters.size());
    for (uint32_t k = 0; k < parameters; ++k)
        for (uint32_t i = 0; i < state.w[k].data.size(); ++i)
            ASSERT_EQ(initial_bits(program, seed_of(4), k, i), bits_of(state.w[k].data[i]))
                << k << " " << i;
    EXPECT_EQ(initial_bits(program, seed_of(4), parameters, 0), 0U);
    program.parameters[0].init = Init::given;
    EXPECT_FALSE(initial_bits(program, seed_of(4), 0, 0).has_value());
}

}  // namespace
}  // namespace trainyard::training::referee
