// SPDX-License-Identifier: Apache-2.0
// The checks that a program passes before anything is allocated or run.
#include "training/program.hpp"

#include <algorithm>
#include <set>

#include "core/hash.hpp"
#include "training/graph.hpp"
#include "training/numerics/functions.hpp"

namespace trainyard::training {

namespace {

using Check = Result<Done, ProgramFault>;

Check fail(ProgramError error, int64_t where, std::string detail) {
    return unexpected(ProgramFault{error, where, std::move(detail)});
}

bool is_good_name(const std::string& name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_';
    });
}

bool is_good_shape(const Shape& s) {
    const bool rank = (s.rank == 1 && s.rows == 1) || s.rank == 2;
    return rank && s.rows >= 1 && s.cols >= 1 && s.rows <= ProgramLimits::dim_max &&
           s.cols <= ProgramLimits::dim_max;
}

Check check_parameters(const Program& program) {
    const auto& all = program.parameters;
    if (all.empty() || all.size() > ProgramLimits::parameters_max)
        return fail(ProgramError::too_large, -1, "between 1 and 4,096 parameters are allowed");
    std::set<std::string> names;
    uint64_t elements = 0;
    for (size_t i = 0; i < all.size(); ++i) {
        const auto at = static_cast<int64_t>(i);
        const Parameter& p = all[i];
        if (!is_good_name(p.name) || !names.insert(p.name).second)
            return fail(ProgramError::bad_parameter, at, "the name is malformed or repeated");
        if (!is_good_shape(p.shape))
            return fail(ProgramError::bad_parameter, at, "dimensions must be 1 to 65,536");
        if (p.init > Init::normal || is_nonfinite(as_float(p.init_scale_bits)) ||
            (p.init != Init::normal && p.init_scale_bits != 0))
            return fail(ProgramError::bad_parameter, at, "the initial values are malformed");
        elements += p.shape.count();
        if (elements > ProgramLimits::parameter_elements_max)
            return fail(ProgramError::too_large, at, "more than 2^31 parameters in total");
    }
    return Done{};
}

Check check_optimiser(const Program& program) {
    const Optimiser& o = program.optimiser;
    const auto within = [](uint32_t bits, float low, float high) {
        const float x = as_float(bits);
        return !is_nonfinite(x) && bits != 0x80000000U && x >= low && x <= high;
    };
    const float below_one = as_float(0x3f7fffff);
    if (!within(o.b1_bits, 0.0F, below_one) || !within(o.b2_bits, 0.0F, below_one))
        return fail(ProgramError::bad_optimiser, -1, "b1 and b2 must lie in [0, 1)");
    if (!within(o.eps_bits, 1e-12F, 1.0F))
        return fail(ProgramError::bad_optimiser, -1, "eps must lie in [1e-12, 1]");
    if (!within(o.decay_bits, 0.0F, 1.0F))
        return fail(ProgramError::bad_optimiser, -1, "weight decay must lie in [0, 1]");
    if (o.lr_bits.size() != program.run.steps)
        return fail(ProgramError::bad_optimiser, -1, "one learning rate per step is needed");
    for (size_t i = 0; i < o.lr_bits.size(); ++i)
        if (!within(o.lr_bits[i], 0.0F, 1.0F))
            return fail(ProgramError::bad_optimiser, static_cast<int64_t>(i),
                        "a learning rate must lie in [0, 1]");
    return Done{};
}

Check check_run(const Program& program) {
    const RunSpec& r = program.run;
    const auto within = [](uint32_t x, uint32_t max) { return x >= 1 && x <= max; };
    if (!within(r.steps, ProgramLimits::steps_max))
        return fail(ProgramError::bad_run, -1, "steps must be 1 to 2^20");
    if (!within(r.micro_batches, ProgramLimits::micro_batches_max))
        return fail(ProgramError::bad_run, -1, "micro-batches must be 1 to 1,024");
    if (!within(r.sequences, ProgramLimits::sequences_max))
        return fail(ProgramError::bad_run, -1, "sequences must be 1 to 4,096");
    if (!within(r.segment_length, ProgramLimits::segment_length_max))
        return fail(ProgramError::bad_run, -1, "a segment must have 1 to 256 steps");
    if (!within(program.data.sequence, ProgramLimits::sequence_max))
        return fail(ProgramError::bad_run, -1, "a sequence must have 1 to 16,384 tokens");
    const uint64_t rows = uint64_t{r.sequences} * program.data.sequence;
    // A column of a weight gradient's product has one term per row: K <= 131,072.
    if (rows > 131072)
        return fail(ProgramError::bad_run, -1, "a micro-batch has more than 131,072 tokens");
    if (uint64_t{r.steps} * r.micro_batches > 0xffffffffULL)
        return fail(ProgramError::bad_run, -1, "more than 2^32 micro-batches in total");
    return Done{};
}

Check check_data(const Program& program) {
    const DataSpec& d = program.data;
    const uint64_t record = uint64_t{d.sequence} + 1;
    if (d.stride == 0 || d.stride > record)
        return fail(ProgramError::bad_data, -1, "the stride must be 1 to sequence + 1");
    if (d.size_bytes < record || d.size_bytes > (1ULL << 40))
        return fail(ProgramError::bad_data, -1, "the data set has no whole record or is too large");
    if (d.held_out % program.run.sequences != 0)
        return fail(ProgramError::bad_data, -1,
                    "held-out records must be a multiple of the sequences of a micro-batch");
    if (d.held_out > 0 && d.stride < d.sequence)
        return fail(ProgramError::bad_data, -1,
                    "held-out records need a stride of at least the sequence");
    if (training_records(program) == 0)
        return fail(ProgramError::bad_data, -1, "at most half of the records may be held out");
    return Done{};
}

Check check_graph(const Program& program) {
    if (program.nodes.empty() || program.nodes.size() > ProgramLimits::nodes_max)
        return fail(ProgramError::too_large, -1, "between 1 and 4,096 operators are allowed");
    if (program.nodes.back().op != Op::cross_entropy)
        return fail(ProgramError::bad_node, static_cast<int64_t>(program.nodes.size()) - 1,
                    "the last operator must be cross_entropy");
    auto training = derive_training_graph(program);
    if (!training) return unexpected(training.error());
    return Done{};
}

}  // namespace

uint64_t total_records(const Program& program) {
    const DataSpec& d = program.data;
    const uint64_t record = uint64_t{d.sequence} + 1;
    return d.size_bytes < record || d.stride == 0 ? 0 : (d.size_bytes - record) / d.stride + 1;
}

uint64_t training_records(const Program& program) {
    const uint64_t total = total_records(program), held_out = program.data.held_out;
    return held_out <= total / 2 ? total - held_out : 0;
}

uint64_t held_out_record(const Program& program, uint64_t index) {
    return (index + 1) * (total_records(program) / program.data.held_out) - 1;
}

uint64_t training_record(const Program& program, uint64_t index) {
    const uint64_t held_out = program.data.held_out;
    if (held_out == 0) return index;
    const uint64_t between = total_records(program) / held_out - 1;
    return index + std::min(index / between, held_out);
}

Result<Done, ProgramFault> validate_program(const Program& program) {
    if (program.recipe != Recipe::rmp1 && program.recipe != Recipe::fp32)
        return fail(ProgramError::malformed, -1, "unknown recipe");
    for (const auto check :
         {check_parameters, check_run, check_optimiser, check_data, check_graph}) {
        auto done = check(program);
        if (!done) return done;
    }
    return Done{};
}

Hash program_id(const Program& program) {
    return sha256(encode_program(program));
}

std::string to_text(const ProgramFault& fault) {
    static constexpr const char* kNames[] = {"malformed encoding", "encoding not canonical",
                                             "too large",          "bad parameter",
                                             "bad operator",       "bad edge",
                                             "bad shape",          "bad optimiser",
                                             "bad data",           "bad run"};
    std::string text = kNames[static_cast<size_t>(fault.error)];
    if (fault.where >= 0) text += " at number " + std::to_string(fault.where);
    return fault.detail.empty() ? text : text + ": " + fault.detail;
}

}  // namespace trainyard::training
