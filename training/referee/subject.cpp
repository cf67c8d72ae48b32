// SPDX-License-Identifier: Apache-2.0
// From a subject to its call, and from the call's inputs to what commits to them.
#include "training/referee/subject.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "training/graph.hpp"
#include "training/numerics/float_mode.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/calls.hpp"
#include "training/state_root.hpp"
#include "training/update.hpp"

namespace trainyard::training::referee {

namespace {

uint32_t parameter_count(const Program& program) {
    return static_cast<uint32_t>(program.parameters.size());
}

bool resolve_value(Subject& subject, const Program& program, const Spot& spot) {
    const auto training = derive_training_graph(program);
    if (!training) return false;
    for (const Node& node : training->graph.nodes)
        for (size_t port = 0; port < node.outputs.size(); ++port) {
            if (node.outputs[port] != subject.index) continue;
            subject.call = call_of(training->graph, node, context_of(program, *training, spot));
            subject.port = static_cast<uint16_t>(port);
            subject.shape = subject.call.out[port];
            return true;
        }
    return false;
}

bool resolve_unit_loss(Subject& subject, const Program& program) {
    const auto training = derive_training_graph(program);
    if (!training) return false;
    subject.shape = Shape::vector(1);
    subject.call = {};
    subject.call.op = Op::mean_loss;
    subject.call.in = {training->graph.values[training->losses].shape};
    subject.call.out = {subject.shape};
    return true;
}

/// The scalars of the update of step `spot.step`.
UpdateScalars scalars_of(const Program& program, const Spot& spot) {
    const ModelState counters = counters_after(program, spot.run_seed, spot.step);
    return update_scalars(program, spot.step, counters.p1_bits, counters.p2_bits, spot.norm_bits);
}

std::vector<uint32_t> optimiser_attributes(const UpdateScalars& s, float decay) {
    std::vector<uint32_t> out;
    const auto add = [&out](std::initializer_list<float> values) {
        for (const float x : values) out.push_back(bits_of(x));
    };
    const AdamwScalars& a = s.adamw;
    if (s.kind == OptimiserKind::sgd)
        add({s.sgd.lr, s.sgd.clip, s.sgd.momentum});
    else
        add({a.lr, a.clip, a.b1, a.b2, a.o1, a.o2, a.ic1, a.ic2, a.eps});
    add({decay});
    return out;
}

void resolve_update(Subject& subject, const Program& program, const Spot& spot) {
    const uint32_t parameter = subject.index % parameter_count(program);
    const Shape shape = program.parameters[parameter].shape;
    const bool is_state = subject.kind == SubjectKind::state;
    Call call;
    call.in.assign(is_state ? 4 : 1, shape);
    call.out.assign(is_state ? 3 : 1, shape);
    subject.shape = shape;
    switch (subject.kind) {
        case SubjectKind::sum:
            call.op = Op::sum_gradients;
            call.attributes = {program.run.micro_batches};
            break;
        case SubjectKind::squares:
            call.op = Op::sum_squares;
            subject.shape = call.out[0] = Shape::vector(1);
            break;
        default:
            call.op = program.optimiser.kind == OptimiserKind::sgd ? Op::sgd : Op::adamw;
            call.attributes =
                optimiser_attributes(scalars_of(program, spot), decay_of(program, parameter));
            subject.port = static_cast<uint16_t>(subject.index / parameter_count(program));
            break;
    }
    subject.call = std::move(call);
}

/// Where element `element` of the input or the targets of a micro-batch stands in the data set.
Source record_source(const Program& program, const Spot& spot, bool is_target, uint32_t element) {
    const DataSpec& d = program.data;
    const bool is_image = d.kind == DataKind::images;
    const uint32_t pixels = d.sequence * d.channels;
    const uint32_t per_record = is_image ? (is_target ? 1 : pixels) : d.sequence;
    const auto records = batch_records(program, spot.run_seed, spot.step, spot.unit);
    const uint64_t begin =
        d.payload_offset + records[element / per_record] * d.stride * element_bytes(d);
    const uint64_t i = element % per_record;
    Source out;
    out.kind = Source::Kind::data;
    if (is_image) {
        out.format = is_target ? Source::Format::u16 : Source::Format::pixel;
        out.ranges = {is_target ? DataRange{begin + pixels, 2} : DataRange{begin + i, 1}};
        return out;
    }
    const uint32_t bytes = d.kind == DataKind::bytes ? 1 : 2;
    out.format = bytes == 1 ? Source::Format::u8 : Source::Format::u16;
    out.ranges = {{begin + bytes * (i + (is_target ? 1 : 0)), bytes}};
    return out;
}

/// Bytes of a constant in the base section.
uint64_t base_bytes_of(const Constant& c) {
    if (c.source == ConstantSource::program) return 0;
    if (c.source == ConstantSource::base_f32) return c.shape.count() * sizeof(float);
    return c.shape.cols * sizeof(float) + c.shape.count();
}

uint64_t base_offset(const Program& program, size_t constants) {
    uint64_t at = program.data.base_offset;
    for (size_t k = 0; k < constants; ++k) at += base_bytes_of(program.constants[k]);
    return at;
}

Source constant_source(const Program& program, uint32_t k, uint32_t element) {
    const Constant& c = program.constants[k];
    Source out;
    out.kind = c.source == ConstantSource::program ? Source::Kind::constant : Source::Kind::data;
    out.index = k;
    out.shape = c.shape;
    const uint64_t at = base_offset(program, k);
    if (c.source == ConstantSource::base_f32) out.ranges = {{at + uint64_t{element} * 4, 4}};
    if (c.source != ConstantSource::base_int8) return out;
    out.format = Source::Format::scaled_int8;
    out.ranges = {{at + uint64_t{element % c.shape.cols} * 4, 4},
                  {at + uint64_t{c.shape.cols} * 4 + element, 1}};
    return out;
}

Source tensor_source(Source::Kind kind, uint32_t index, Shape shape) {
    Source out;
    out.kind = kind;
    out.index = index;
    out.shape = shape;
    return out;
}

/// Of an input of the operator that yields `value`.
Source graph_source(const Program& program, const Spot& spot, uint32_t yielded, const Term& term) {
    const auto training = derive_training_graph(program);
    ASSERT(training.has_value());
    const auto& nodes = training->graph.nodes;
    const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const Node& n) {
        return std::find(n.outputs.begin(), n.outputs.end(), yielded) != n.outputs.end();
    });
    ASSERT(node != nodes.end());
    const uint32_t value = node->inputs[term.port];
    const Shape shape = training->graph.values[value].shape;
    if (value >= first_yield(program)) return tensor_source(Source::Kind::value, value, shape);
    if (value >= first_constant_value(program))
        return constant_source(program, value - first_constant_value(program), term.a);
    if (value >= kFirstParameterValue)
        return tensor_source(Source::Kind::state, value - kFirstParameterValue, shape);
    return record_source(program, spot, value == kTargetsValue, term.a);
}

}  // namespace

RunContext context_of(const Program& program, const TrainingGraph& training, const Spot& spot) {
    const FloatModeGuard mode;
    const uint64_t rows =
        training.graph.values[training.losses].shape.count() * program.run.micro_batches;
    return {philox_seed(spot.run_seed), noise_step(program, spot.step, spot.unit),
            1.0F / static_cast<float>(rows)};
}

bool resolve(Subject& subject, const Program& program, const Spot& spot) {
    const uint32_t parameters = parameter_count(program);
    switch (subject.kind) {
        case SubjectKind::value:
            return resolve_value(subject, program, spot);
        case SubjectKind::unit_loss:
            return resolve_unit_loss(subject, program);
        case SubjectKind::sum:
        case SubjectKind::squares:
            if (subject.index >= parameters) return false;
            return resolve_update(subject, program, spot), true;
        case SubjectKind::state:
            if (subject.index >= 3 * parameters) return false;
            return resolve_update(subject, program, spot), true;
        case SubjectKind::init:
            if (subject.index >= 3 * parameters) return false;
            subject.shape = program.parameters[subject.index % parameters].shape;
            return true;
        case SubjectKind::none:
            break;
    }
    return false;
}

Tensor number_tensor(uint32_t bits) {
    return {Shape::vector(1), Floats{as_float(bits)}};
}

uint32_t first_yield(const Program& program) {
    return first_constant_value(program) + static_cast<uint32_t>(program.constants.size());
}

Source source_of(const Program& program, const Spot& spot, const Subject& subject,
                 const Term& term) {
    const uint32_t parameters = parameter_count(program);
    const uint32_t parameter = subject.index % parameters;
    const Shape shape = program.parameters[parameter].shape;
    Source out;
    switch (subject.kind) {
        case SubjectKind::unit_loss: {
            const auto training = derive_training_graph(program);
            ASSERT(training.has_value());
            return tensor_source(Source::Kind::value, training->losses, subject.call.in[0]);
        }
        case SubjectKind::sum:
            out = tensor_source(Source::Kind::gradient, parameter, shape);
            out.unit = term.port;
            return out;
        case SubjectKind::squares:
            return tensor_source(Source::Kind::sum, parameter, shape);
        case SubjectKind::state:
            if (term.port == 3) return tensor_source(Source::Kind::sum, parameter, shape);
            return tensor_source(Source::Kind::state, term.port * parameters + parameter, shape);
        case SubjectKind::init:
            return initial_source(program, subject.index, term.a);
        default:
            return graph_source(program, spot, subject.index, term);
    }
}

Source initial_source(const Program& program, uint32_t index, uint32_t element) {
    uint64_t at = base_offset(program, program.constants.size());
    for (uint32_t k = 0; k < index; ++k)
        if (program.parameters[k].init == Init::given)
            at += program.parameters[k].shape.count() * sizeof(float);
    Source out;
    out.kind = Source::Kind::data;
    out.ranges = {{at + uint64_t{element} * 4, 4}};
    return out;
}

uint32_t number_of(Source::Format format, BytesView bytes) {
    const FloatModeGuard mode;
    switch (format) {
        case Source::Format::u8:
            return bytes[0];
        case Source::Format::u16:
            return load_le<uint16_t>(bytes.data());
        case Source::Format::pixel:
            return bits_of(pixel_value(bytes[0]));
        case Source::Format::f32:
            return load_le<uint32_t>(bytes.data());
        case Source::Format::scaled_int8:
            break;
    }
    return bits_of(static_cast<float>(static_cast<int8_t>(bytes[4])) *
                   as_float(load_le<uint32_t>(bytes.data())));
}

std::optional<uint32_t> initial_bits(const Program& program, const Hash& run_seed, uint32_t index,
                                     uint32_t element) {
    if (index >= parameter_count(program)) return 0;  // m and v
    const Parameter& p = program.parameters[index];
    if (p.init == Init::given) return std::nullopt;
    const FloatModeGuard mode;
    return bits_of(initial_weight(p, philox_seed(run_seed), index, element));
}

TilePlace place_of(Shape shape, uint32_t element) {
    if (shape.rank == 1) return {element / kTileElements, element % kTileElements};
    const uint32_t row = element / shape.cols, col = element % shape.cols;
    const uint32_t across = (shape.cols + kTileSide - 1) / kTileSide;
    return {row / kTileSide * across + col / kTileSide,
            row % kTileSide * kTileSide + col % kTileSide};
}

std::optional<uint32_t> element_at(Shape shape, TilePlace place) {
    if (shape.rank == 1) {
        const uint64_t element = uint64_t{place.tile} * kTileElements + place.at;
        if (element >= shape.cols) return std::nullopt;
        return static_cast<uint32_t>(element);
    }
    const uint32_t across = (shape.cols + kTileSide - 1) / kTileSide;
    const uint32_t row = place.tile / across * kTileSide + place.at / kTileSide;
    const uint32_t col = place.tile % across * kTileSide + place.at % kTileSide;
    if (row >= shape.rows || col >= shape.cols) return std::nullopt;
    return row * shape.cols + col;
}

}  // namespace trainyard::training::referee
