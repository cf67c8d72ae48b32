// SPDX-License-Identifier: Apache-2.0
// Structs of IComputeMarket, IProviderRegistry and IModelRegistry, field by field in their order.
#include "node/wallet/market_abi.hpp"

#include "core/assert.hpp"
#include "core/hash.hpp"

namespace trainyard::node::wallet {
namespace {

AbiValue number(uint64_t value) {
    return AbiValue::of(Uint256(value));
}

/// An enumerator of ours, or the first one when a later contract knows more than we do.
template <class E>
E enumerator(const AbiValue& value, E last) {
    const auto raw = value.u64();
    return raw <= static_cast<uint64_t>(last) ? static_cast<E>(raw) : E{};
}

}  // namespace

AbiValue to_abi(const std::vector<Hash>& hashes) {
    AbiValue out;
    for (const auto& hash : hashes) out.items.push_back(AbiValue::of(hash));
    return out;
}

AbiValue to_abi(const JobSpec& s) {
    return AbiValue::of_items(
        {AbiValue::of(s.program), AbiValue::of(s.program_id), AbiValue::of(s.data),
         AbiValue::of(s.client_seed), number(s.segments), number(s.steps_per_segment),
         number(s.micro_batches), number(s.segment_blocks), number(s.deadline_s),
         AbiValue::of(s.price_wei), AbiValue::of(s.audit_fee_wei), number(s.unit_work),
         AbiValue::of(s.provider), AbiValue::of(s.licence)});
}

AbiValue to_abi(const UnitOpening& o) {
    return AbiValue::of_items({number(o.t), number(o.j), number(o.unit_loss_bits),
                               AbiValue::of(o.unit_grad_root), to_abi(o.unit_path),
                               AbiValue::of(o.grad_root), number(o.norm_bits), number(o.loss_bits),
                               number(o.nonfinite), to_abi(o.step_path)});
}

JobSpec job_spec_from(const AbiValue& v) {
    JobSpec s;
    s.program = v[0].hash();
    s.program_id = v[1].hash();
    s.data = v[2].hash();
    s.client_seed = v[3].hash();
    s.segments = v[4].u32();
    s.steps_per_segment = v[5].u32();
    s.micro_batches = v[6].u32();
    s.segment_blocks = v[7].u64();
    s.deadline_s = v[8].u64();
    s.price_wei = v[9].number;
    s.audit_fee_wei = v[10].number;
    s.unit_work = v[11].u64();
    s.provider = v[12].address();
    s.licence = std::string(as_text(v[13].bytes));
    return s;
}

Job job_from(const AbiValue& v) {
    Job j;
    j.client = v[0].address();
    j.provider = v[1].address();
    j.state = enumerator(v[2], JobState::closed);
    j.outcome = enumerator(v[3], Outcome::diverged);
    j.tip = v[4].u32();
    j.final_segments = v[5].u32();
    j.attempt = v[6].u32();
    j.segment_deadline = v[7].u64();
    j.tip_root = v[8].hash();
    j.escrow_wei = v[9].number;
    j.run_seed = v[10].hash();
    j.model_token = v[11].number;
    return j;
}

Segment segment_from(const AbiValue& v) {
    Segment s;
    s.state = enumerator(v[0], SegmentState::appealed);
    s.provider = v[1].address();
    s.attempt = v[2].u32();
    s.loss_bits = v[3].u32();
    s.first = v[4].hash();
    s.last = v[5].hash();
    s.steps_root = v[6].hash();
    s.root = v[7].hash();
    s.state_blob = v[8].hash();
    s.bundle_blob = v[9].hash();
    s.committed_at = v[10].u64();
    s.seed_epoch = v[11].u64();
    s.phase_deadline = v[12].u64();
    s.round = static_cast<uint8_t>(v[13].u64());
    s.diverges_at = v[14].u32();
    return s;
}

Dispute dispute_from(const AbiValue& v) {
    Dispute d;
    d.challenger = v[0].address();
    d.is_challengers = v[1].u64() == 1;
    d.moves = static_cast<uint8_t>(v[2].u64());
    d.lost = static_cast<uint8_t>(v[3].u64());
    d.moved_at = v[4].u64();
    d.bond_wei = v[5].number;
    d.state_hash = v[6].hash();
    return d;
}

/// Of IMarketTypes.Params.
training::AuditLimits audit_limits_from(const AbiValue& v) {
    return {v[3].u32(), v[4].u32(), v[15].u64(), v[16].u64(), v[23].u64(), v[24].u64()};
}

MarketTerms market_terms_from(const AbiValue& v) {
    return {v[0].u32(), v[0].u32() + v[1].u32() + v[2].u32(), v[6].number};
}

ModelRecord model_record_from(const AbiValue& v) {
    ModelRecord r;
    r.job = v[0].u64();
    r.program = v[1].hash();
    r.program_id = v[2].hash();
    r.data_root = v[3].hash();
    r.state_root = v[4].hash();
    r.state_blob = v[5].hash();
    r.segments_root = v[6].hash();
    r.segments = v[7].u32();
    r.loss_bits = v[8].u32();
    for (const auto& item : v[9].items) r.providers.push_back(item.address());
    r.licence = std::string(as_text(v[10].bytes));
    return r;
}

Bytes call_data(std::string_view signature, std::vector<AbiValue> arguments) {
    const auto type = parse_abi_type(signature.substr(signature.find('(')));
    ASSERT(type.has_value());
    const auto encoded = abi_encode(*type, AbiValue::of_items(std::move(arguments)));
    ASSERT(encoded.has_value());
    const auto selector = abi_selector(signature);
    Bytes out(4 + encoded->size());
    std::copy(selector.begin(), selector.end(), out.begin());
    std::copy(encoded->begin(), encoded->end(), out.begin() + 4);
    return out;
}

Hash answer_commitment(const AnswerPreimage& p) {
    static const auto type =
        *parse_abi_type("(uint256,uint32,uint32,uint8,uint8,address,uint8,bytes32[],bytes32)");
    const auto encoded = abi_encode(
        type, AbiValue::of_items({AbiValue::of(p.job), number(p.seg), number(p.attempt),
                                  number(static_cast<uint64_t>(p.level)), number(p.round),
                                  AbiValue::of(p.auditor), number(static_cast<uint64_t>(p.verdict)),
                                  to_abi(p.answers), AbiValue::of(p.salt)}));
    ASSERT(encoded.has_value());
    return keccak256(*encoded);
}

}  // namespace trainyard::node::wallet
