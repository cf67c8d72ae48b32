// SPDX-License-Identifier: Apache-2.0
// Gathering what an audit or a replay needs.
#include "node/verify/case_builder.hpp"

#include <algorithm>

#include "node/wallet/blob.hpp"
#include "training/draws.hpp"

namespace trainyard::node::verify {
namespace {

using wallet::Verdict;

/// Why a case cannot be built: for now, or because the provider did not serve what it must.
struct Gap {
    bool is_providers_fault = false;
    std::string text;
};

class Gathering {
public:
    Gathering(wallet::MarketApi& market, const CaseRequest& request)
        : market_(market), request_(request) {}

    Result<SegmentCase, Gap> segment_case() {
        const auto& spec = request_.spec;
        const auto& segment = request_.segment;
        SegmentCase out;
        auto program = clients_blob(spec.program, "program");
        if (!program) return unexpected(program.error());
        auto data = clients_blob(spec.data, "data set");
        if (!data) return unexpected(data.error());
        auto state = providers_blob(segment.state_blob, "state of the segment's end");
        if (!state) return unexpected(state.error());
        out.program = std::move(*program);
        out.data = std::move(*data);
        out.last_state = std::move(*state);
        out.program_id = spec.program_id;
        out.run_seed = request_.run_seed;
        out.claim = {request_.seat.seg * spec.steps_per_segment, spec.steps_per_segment,
                     segment.first, segment.last, segment.steps_root};
        return out;
    }

    Result<Bytes, Gap> bundle() {
        auto index = providers_blob(request_.segment.bundle_blob, "bundle index");
        if (!index) return index;
        const auto entries = wallet::decode_bundle_index(*index);
        if (!entries) return unexpected(Gap{true, "the bundle index is malformed"});
        for (const auto& entry : *entries)
            if (entry.auditor == request_.auditor) return providers_blob(entry.blob, "bundle");
        return unexpected(Gap{true, "the bundle index has nothing for this auditor"});
    }

    Result<Bytes, Gap> providers_blob(const Hash& id, const std::string& what) {
        auto content = market_.get_blob(id, request_.blob_bytes_max);
        if (content) return std::move(*content);
        const bool absent = content.error().code == wallet::WalletErrorCode::not_found ||
                            content.error().code == wallet::WalletErrorCode::too_large;
        return unexpected(Gap{absent && request_.is_last_chance,
                              "the " + what + " is not to be had: " + content.error().text});
    }

private:
    Result<Bytes, Gap> clients_blob(const Hash& id, const std::string& what) {
        auto content = market_.get_blob(id, request_.blob_bytes_max);
        if (content) return std::move(*content);
        return unexpected(Gap{false, "the " + what + " is not to be had: " + content.error().text});
    }

    wallet::MarketApi& market_;
    const CaseRequest& request_;
};

/// A claim of fraud without answers: nothing, or nothing readable, was served.
Result<Judgement, std::string> without_answers(const Gap& gap, bool is_l1) {
    if (!gap.is_providers_fault) return unexpected(gap.text);
    std::vector<Hash> answers;
    if (is_l1) answers.emplace_back();
    return Judgement{{Verdict::mismatch, std::move(answers), {}}, gap.text};
}

Judgement to_judgement(VerifyAnswer answer, size_t answers_due) {
    // A match needs every answer; a mismatch is revealed with all of them or with none.
    if (answer.answers.size() != answers_due) {
        answer.matches = false;
        answer.answers.clear();
    }
    return {{answer.matches ? Verdict::match : Verdict::mismatch, std::move(answer.answers), {}},
            std::move(answer.finding)};
}

Result<Judgement, std::string> judge_units(wallet::MarketApi& market, Verifier& verifier,
                                           const CaseRequest& request) {
    Gathering gather(market, request);
    auto segment = gather.segment_case();
    if (!segment) return without_answers(segment.error(), false);
    auto bundle = gather.bundle();
    if (!bundle) return without_answers(bundle.error(), false);
    const auto units = market.units_of(request.seat.job, request.seat.seg, request.auditor);
    if (!units) return unexpected(units.error().text);
    const auto seed = market.tile_seed(request.seat.job, request.seat.seg, request.auditor);
    if (!seed) return unexpected(seed.error().text);
    const auto program = training::decode_program(segment->program);
    if (!program) return unexpected("program: " + training::to_text(program.error()));
    AuditRequest audit;
    for (const auto& unit : *units) audit.draws.units.push_back({unit.t, unit.j});
    audit.draws.tiles = training::tile_draws(*program, *seed, request.tiles);
    audit.segment = std::move(*segment);
    audit.bundle = std::move(*bundle);
    auto answer = verifier.audit(audit);
    if (!answer) return unexpected(answer.error().text);
    return to_judgement(std::move(*answer), units->size());
}

Result<Judgement, std::string> judge_replay(wallet::MarketApi& market, Verifier& verifier,
                                            const CaseRequest& request) {
    Gathering gather(market, request);
    auto segment = gather.segment_case();
    if (!segment) return without_answers(segment.error(), true);
    ReplayRequest replay;
    replay.segment = std::move(*segment);
    if (request.seat.seg > 0) {
        const auto before = market.segment(request.seat.job, request.seat.seg - 1);
        if (!before) return unexpected(before.error().text);
        auto state = gather.providers_blob(before->state_blob, "state before the segment");
        if (!state) return without_answers(state.error(), true);
        replay.first_state = std::move(*state);
    }
    auto answer = verifier.replay(replay);
    if (!answer) return unexpected(answer.error().text);
    return to_judgement(std::move(*answer), 1);
}

}  // namespace

Result<Judgement, std::string> judge_case(wallet::MarketApi& market, Verifier& verifier,
                                          const CaseRequest& request) {
    return request.seat.level == wallet::SegmentState::l1 ? judge_replay(market, verifier, request)
                                                          : judge_units(market, verifier, request);
}

}  // namespace trainyard::node::verify
