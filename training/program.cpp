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

/// A base section holds weights that come from elsewhere.
bool has_base(const Program& program) {
    return program.data.base_offset != 0;
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
        if (p.init > Init::given || (p.init == Init::given && !has_base(program)) ||
            is_nonfinite(as_float(p.init_scale_bits)) ||
            (p.init != Init::normal && p.init_scale_bits != 0))
            return fail(ProgramError::bad_parameter, at, "the initial values are malformed");
        elements += p.shape.count();
        if (elements > ProgramLimits::parameter_elements_max)
            return fail(ProgramError::too_large, at, "more than 2^31 parameters in total");
    }
    return Done{};
}

Check check_constants(const Program& program) {
    if (program.constants.size() > ProgramLimits::constants_max)
        return fail(ProgramError::too_large, -1, "at most 4,096 constants are allowed");
    std::set<std::string> names;
    for (const Parameter& p : program.parameters) names.insert(p.name);
    uint64_t elements = 0;
    for (size_t i = 0; i < program.constants.size(); ++i) {
        const auto at = static_cast<int64_t>(program.parameters.size() + i);
        const Constant& c = program.constants[i];
        if (!is_good_name(c.name) || !names.insert(c.name).second || !is_good_shape(c.shape))
            return fail(ProgramError::bad_parameter, at, "the constant's name or shape is refused");
        const bool inside = c.source == ConstantSource::program;
        if (c.source > ConstantSource::base_int8 || (!inside && !has_base(program)) ||
            c.data.size() != (inside ? c.shape.count() * sizeof(float) : 0))
            return fail(ProgramError::bad_parameter, at, "the constant's numbers are not there");
        for (size_t k = 0; k + 4 <= c.data.size(); k += 4)
            if (is_nonfinite(as_float(load_le<uint32_t>(c.data.data() + k))))
                return fail(ProgramError::bad_parameter, at, "the constant holds an Inf or NaN");
        elements += c.shape.count();
        if (elements > ProgramLimits::parameter_elements_max)
            return fail(ProgramError::too_large, at, "more than 2^31 constants in total");
    }
    return Done{};
}

Check check_tokenizer(const Program& program) {
    const auto& merges = program.tokenizer.merges;
    if (merges.size() > ProgramLimits::merges_max)
        return fail(ProgramError::too_large, -1, "at most 65,280 merges are allowed");
    std::set<std::pair<uint16_t, uint16_t>> seen;
    std::vector<uint32_t> lengths(256, 1);
    for (size_t i = 0; i < merges.size(); ++i) {
        const auto [left, right] = merges[i];
        if (left >= lengths.size() || right >= lengths.size() || !seen.insert(merges[i]).second)
            return fail(ProgramError::bad_data, static_cast<int64_t>(i),
                        "a merge names a later token or repeats an earlier one");
        lengths.push_back(lengths[left] + lengths[right]);
        if (lengths.back() > ProgramLimits::token_bytes_max)
            return fail(ProgramError::too_large, static_cast<int64_t>(i),
                        "a token has at most 64 bytes");
    }
    if (!merges.empty() && program.data.kind != DataKind::tokens_u16)
        return fail(ProgramError::bad_data, -1, "merges need data of uint16 tokens");
    return Done{};
}

Check check_sgd(const Optimiser& o) {
    if (o.b2_bits != 0 || o.eps_bits != 0)
        return fail(ProgramError::bad_optimiser, -1, "SGD has neither b2 nor eps: they are 0");
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
    if (o.kind > OptimiserKind::sgd || !within(o.clip_bits, 1e-6F, 1e6F))
        return fail(ProgramError::bad_optimiser, -1,
                    "the optimiser is unknown, or its clip lies outside [1e-6, 1e6]");
    if (o.kind == OptimiserKind::sgd) {
        if (auto done = check_sgd(o); !done) return done;
    } else if (!within(o.eps_bits, 1e-12F, 1.0F))
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
        return fail(ProgramError::bad_run, -1,
                    "a sequence must have 1 to 16,384 tokens, an image as many positions");
    const uint64_t rows = uint64_t{r.sequences} * program.data.sequence;
    // A column of a weight gradient's product has one term per row: K <= 131,072.
    if (rows > 131072)
        return fail(ProgramError::bad_run, -1, "a micro-batch has more than 131,072 tokens");
    if (uint64_t{r.steps} * r.micro_batches > 0xffffffffULL)
        return fail(ProgramError::bad_run, -1, "more than 2^32 micro-batches in total");
    return Done{};
}

/// Payload and base lie inside the blob, and the fields that a kind does not use are zero.
Check check_layout(const Program& program) {
    const DataSpec& d = program.data;
    const auto refuse = [](const char* why) { return fail(ProgramError::bad_data, -1, why); };
    if (d.kind > DataKind::images) return refuse("unknown kind of data");
    if (d.size_bytes > (1ULL << 40)) return refuse("the data set is too large");
    if (d.payload_offset > d.size_bytes || d.base_offset > d.size_bytes)
        return refuse("payload or base begin behind the end of the data set");
    if ((d.kind == DataKind::images) != (d.channels != 0) || d.channels > 64)
        return refuse("images, and only they, have 1 to 64 channels");
    if (d.kind == DataKind::bytes) {
        if (d.payload_offset != 0 || d.elements != 0 || d.base_offset != 0)
            return refuse("data of bytes has no sections");
        return Done{};
    }
    const uint64_t room = d.size_bytes - d.payload_offset;
    if (d.elements == 0 || d.elements > room / element_bytes(d))
        return refuse("the payload does not fit into the data set");
    if (d.base_offset != 0 && d.base_offset < d.payload_offset + d.elements * element_bytes(d))
        return refuse("the base section overlaps the payload");
    if (has_base(program) && base_bytes(program) > d.size_bytes - d.base_offset)
        return refuse("the base section does not fit into the data set");
    return Done{};
}

Check check_data(const Program& program) {
    auto laid_out = check_layout(program);
    if (!laid_out) return laid_out;
    const DataSpec& d = program.data;
    const uint64_t record = record_elements(d);
    const bool images = d.kind == DataKind::images;
    if (d.stride == 0 || d.stride > record)
        return fail(ProgramError::bad_data, -1,
                    images ? "the stride of images is 1" : "the stride must be 1 to sequence + 1");
    if (total_records(program) == 0)
        return fail(ProgramError::bad_data, -1, "the data set has no whole record or is too large");
    if (d.held_out % program.run.sequences != 0)
        return fail(ProgramError::bad_data, -1,
                    "held-out records must be a multiple of the sequences of a micro-batch");
    if (d.held_out > 0 && !images && d.stride < d.sequence)
        return fail(ProgramError::bad_data, -1,
                    "held-out records need a stride of at least the sequence");
    if (training_records(program) == 0)
        return fail(ProgramError::bad_data, -1, "at most half of the records may be held out");
    return Done{};
}

Check check_graph(const Program& program) {
    if (program.nodes.empty() || program.nodes.size() > ProgramLimits::nodes_max)
        return fail(ProgramError::too_large, -1, "between 1 and 4,096 operators are allowed");
    if (!is_loss(program.nodes.back().op))
        return fail(ProgramError::bad_node, static_cast<int64_t>(program.nodes.size()) - 1,
                    "the last operator must be cross_entropy or mean_square");
    auto training = derive_training_graph(program);
    if (!training) return unexpected(training.error());
    return Done{};
}

}  // namespace

uint64_t record_elements(const DataSpec& d) {
    return d.kind == DataKind::images ? 1 : uint64_t{d.sequence} + 1;
}

uint64_t element_bytes(const DataSpec& d) {
    switch (d.kind) {
        case DataKind::bytes:
            return 1;
        case DataKind::tokens_u16:
            return 2;
        default:
            return uint64_t{d.sequence} * d.channels + 2;
    }
}

uint64_t base_bytes(const Program& program) {
    uint64_t bytes = 0;
    for (const Constant& c : program.constants) {
        if (c.source == ConstantSource::base_f32) bytes += c.shape.count() * sizeof(float);
        if (c.source == ConstantSource::base_int8)
            bytes += c.shape.cols * sizeof(float) + c.shape.count();
    }
    for (const Parameter& p : program.parameters)
        if (p.init == Init::given) bytes += p.shape.count() * sizeof(float);
    return bytes;
}

uint64_t total_records(const Program& program) {
    const DataSpec& d = program.data;
    const uint64_t record = record_elements(d);
    const uint64_t elements = d.kind == DataKind::bytes ? d.size_bytes : d.elements;
    return elements < record || d.stride == 0 ? 0 : (elements - record) / d.stride + 1;
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
    for (const auto check : {check_parameters, check_constants, check_run, check_optimiser,
                             check_data, check_tokenizer, check_graph}) {
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
