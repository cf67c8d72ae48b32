// SPDX-License-Identifier: Apache-2.0
// Leaves, roots and openings of segments; the byte rules stand in docs/spec/training.md, section 6.
#include "training/segment.hpp"

#include "core/hash.hpp"
#include "core/merkle.hpp"

namespace trainyard::training {

namespace {

constexpr uint8_t kUnitTag = 0x10;
constexpr uint8_t kStepTag = 0x11;
constexpr uint8_t kSequenceTag = 0x12;
constexpr uint32_t kRecordMagic = 0x32475954;     // "TYG2"
constexpr uint32_t kOldRecordMagic = 0x31475954;  // "TYG1": state roots of all states
constexpr size_t kTupleBytes = 32 + 32 + 4 + 4 + 1;
constexpr size_t kUnitBytes = 36;

std::vector<Hash> unit_leaves(uint32_t t, const std::vector<Unit>& units) {
    std::vector<Hash> leaves;
    for (uint32_t j = 0; j < units.size(); ++j) leaves.push_back(unit_leaf(t, j, units[j]));
    return leaves;
}

std::vector<Hash> sequence_values(uint32_t first_step, const CommittedStates& states,
                                  const std::vector<StepTuple>& tuples) {
    ASSERT(states.weights_inside.size() + 1 == tuples.size());
    std::vector<Hash> values;
    for (uint32_t i = 0; i < tuples.size(); ++i) {
        values.push_back(states.root(i));
        values.push_back(step_leaf(first_step + i, tuples[i]));
    }
    values.push_back(states.last);
    return values;
}

std::vector<Hash> sequence_leaves(const std::vector<Hash>& values) {
    std::vector<Hash> leaves;
    for (uint32_t i = 0; i < values.size(); ++i) leaves.push_back(sequence_leaf(i, values[i]));
    return leaves;
}

}  // namespace

Hash unit_leaf(uint32_t t, uint32_t j, const Unit& unit) {
    Bytes bytes{kUnitTag};
    append_le(bytes, t);
    append_le(bytes, j);
    append_le(bytes, unit.loss_bits);
    append(bytes, unit.grad_root.bytes);
    return sha256(bytes);
}

Hash step_leaf(uint32_t t, const StepTuple& tuple) {
    Bytes bytes{kStepTag};
    append_le(bytes, t);
    append(bytes, tuple.units_root.bytes);
    append(bytes, tuple.grad_root.bytes);
    append_le(bytes, tuple.norm_bits);
    append_le(bytes, tuple.loss_bits);
    append_le(bytes, tuple.nonfinite);
    return sha256(bytes);
}

Hash sequence_leaf(uint32_t i, const Hash& value) {
    Bytes bytes{kSequenceTag};
    append_le(bytes, i);
    append(bytes, value.bytes);
    return sha256(bytes);
}

Hash sequence_root(const std::vector<Hash>& values) {
    return merkle::root(sequence_leaves(values));
}

Hash units_root(uint32_t t, const std::vector<Unit>& units) {
    return merkle::root(unit_leaves(t, units));
}

uint64_t hashed_bytes_per_step(const Program& program) {
    uint64_t bytes = 0;
    for (const Parameter& p : program.parameters) bytes += sizeof(float) * p.shape.count();
    const uint64_t units = program.run.micro_batches;
    return bytes * (units + (units > 1 ? 1 : 0) + 1) + 2 * bytes / program.run.segment_length;
}

Hash steps_root(uint32_t first_step, const CommittedStates& states,
                const std::vector<StepTuple>& tuples) {
    return sequence_root(sequence_values(first_step, states, tuples));
}

SegmentClaim claim_of(const SegmentRecord& record) {
    return {record.first_step, record.steps(), record.states.first, record.states.last,
            steps_root(record.first_step, record.states, record.tuples)};
}

Hash replay_digest(const SegmentRecord& record) {
    Sha256 hash;
    for (uint32_t i = 0; i < record.steps(); ++i)
        for (const Hash& leaf : unit_leaves(record.first_step + i, record.units[i]))
            hash.update(leaf.bytes);
    return hash.finish();
}

uint32_t last_loss_bits(const SegmentRecord& record) {
    return record.tuples.back().loss_bits;
}

UnitOpening open_unit(const SegmentRecord& record, uint32_t t, uint32_t j) {
    ASSERT(t >= record.first_step && t - record.first_step < record.steps());
    const uint32_t i = t - record.first_step;
    ASSERT(j < record.units[i].size());
    UnitOpening out{t, j, record.units[i][j], {}, record.tuples[i], {}};
    out.unit_path = merkle::path(unit_leaves(t, record.units[i]), j);
    out.step_path = merkle::path(
        sequence_leaves(sequence_values(record.first_step, record.states, record.tuples)),
        2 * size_t{i} + 1);
    return out;
}

bool verify_unit_opening(const SegmentClaim& claim, uint32_t micro_batches, const UnitOpening& o) {
    if (o.t < claim.first_step || o.t - claim.first_step >= claim.steps || o.j >= micro_batches)
        return false;
    const uint32_t at = 2 * (o.t - claim.first_step) + 1;
    return merkle::verify(o.tuple.units_root, unit_leaf(o.t, o.j, o.unit), o.j, micro_batches,
                          o.unit_path) &&
           merkle::verify(claim.steps_root, sequence_leaf(at, step_leaf(o.t, o.tuple)), at,
                          2 * size_t{claim.steps} + 1, o.step_path);
}

Bytes encode_record(const SegmentRecord& record) {
    Bytes out;
    append_le(out, kRecordMagic);
    append_le(out, record.first_step);
    append_le(out, record.steps());
    for (uint32_t i = 0; i <= record.steps(); ++i) append(out, record.states.root(i).bytes);
    for (const StepTuple& t : record.tuples) {
        append(out, t.units_root.bytes);
        append(out, t.grad_root.bytes);
        append_le(out, t.norm_bits);
        append_le(out, t.loss_bits);
        append_le(out, t.nonfinite);
    }
    for (const auto& units : record.units)
        for (const Unit& unit : units) {
            append_le(out, unit.loss_bits);
            append(out, unit.grad_root.bytes);
        }
    return out;
}

Result<SegmentRecord, StateError> decode_record(const Program& program, BytesView encoded) {
    constexpr size_t kHeaderBytes = 12;
    if (encoded.size() < kHeaderBytes) return unexpected(StateError::truncated);
    const uint8_t* at = encoded.data();
    const auto magic = load_le<uint32_t>(at);
    if (magic == kOldRecordMagic) return unexpected(StateError::other_version);
    if (magic != kRecordMagic) return unexpected(StateError::wrong_program);
    SegmentRecord out;
    out.first_step = load_le<uint32_t>(at + 4);
    const uint64_t steps = load_le<uint32_t>(at + 8);
    const uint64_t units = program.run.micro_batches;
    if (steps == 0 || steps > ProgramLimits::segment_length_max ||
        out.first_step + steps > program.run.steps)
        return unexpected(StateError::wrong_shape);
    const uint64_t due =
        kHeaderBytes + 32 * (steps + 1) + steps * (kTupleBytes + units * kUnitBytes);
    if (encoded.size() < due) return unexpected(StateError::truncated);
    if (encoded.size() > due) return unexpected(StateError::leftover);
    at += kHeaderBytes;
    const auto hash = [&at] { return at += 32, *fixed_from<Hash>({at - 32, 32}); };
    const auto word = [&at] { return at += 4, load_le<uint32_t>(at - 4); };
    out.states.first = hash();
    for (uint64_t i = 1; i < steps; ++i) out.states.weights_inside.push_back(hash());
    out.states.last = hash();
    for (uint64_t i = 0; i < steps; ++i) {
        StepTuple t;
        t.units_root = hash();
        t.grad_root = hash();
        t.norm_bits = word();
        t.loss_bits = word();
        t.nonfinite = *at++;
        if (t.nonfinite > 1) return unexpected(StateError::wrong_shape);
        out.tuples.push_back(t);
    }
    for (uint64_t i = 0; i < steps; ++i) {
        auto& row = out.units.emplace_back();
        for (uint64_t j = 0; j < units; ++j) {
            const uint32_t loss = word();
            row.push_back({loss, hash()});
        }
    }
    return out;
}

}  // namespace trainyard::training
