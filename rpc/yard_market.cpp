// SPDX-License-Identifier: Apache-2.0
// yard_*: jobs, providers and models, decoded from the contracts of the market.
#include <algorithm>

#include "rpc/contract_view.hpp"
#include "rpc/lookup.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

constexpr uint64_t kPageMax = 100;
constexpr uint64_t kSegmentsPageMax = 1024;

constexpr std::string_view kJobStates[] = {"none", "open", "active", "draining", "closed"};
constexpr std::string_view kOutcomes[] = {"none", "complete", "cancelled", "expired", "diverged"};
constexpr std::string_view kSegmentStates[] = {"none",      "committed", "l0",   "l1",
                                               "accepted",  "final",     "void", "disputed",
                                               "convicted", "appealed"};

// genesis/contracts/interfaces/IComputeMarket.sol, in the order of its structs.
constexpr Field kJob[] = {
    {"client", Word::address},
    {"provider", Word::address},
    {"state", Word::choice, kJobStates},
    {"outcome", Word::choice, kOutcomes},
    {"tip", Word::quantity},
    {"finalSegments", Word::quantity},
    {"attempt", Word::quantity},
    {"segmentDeadline", Word::quantity},
    {"tipRoot", Word::bytes32},
    {"escrow", Word::quantity},
    {"runSeed", Word::bytes32},
    {"modelToken", Word::quantity},
};
constexpr Field kSpec[] = {
    {"program", Word::bytes32},       {"programId", Word::bytes32},
    {"data", Word::bytes32},          {"clientSeed", Word::bytes32},
    {"segments", Word::quantity},     {"stepsPerSegment", Word::quantity},
    {"microBatches", Word::quantity}, {"segmentBlocks", Word::quantity},
    {"deadline", Word::quantity},     {"pricePerSegment", Word::quantity},
    {"auditFee", Word::quantity},     {"unitWork", Word::quantity},
    {"provider", Word::address},      {"licence", Word::text},
};
constexpr Field kSegment[] = {
    {"state", Word::choice, kSegmentStates},
    {"provider", Word::address},
    {"attempt", Word::quantity},
    {"loss", Word::loss},
    {"first", Word::bytes32},
    {"last", Word::bytes32},
    {"stepsRoot", Word::bytes32},
    {"root", Word::bytes32},
    {"stateBlob", Word::bytes32},
    {"bundleBlob", Word::bytes32},
    {"committedAt", Word::quantity},
    {"seedEpoch", Word::quantity},
    {"phaseDeadline", Word::quantity},
    {"round", Word::quantity},
    {"divergesAt", Word::quantity},
};
constexpr Field kChallenge[] = {
    {"challenger", Word::address},
    {"number", Word::quantity},
    {"bond", Word::quantity},
};
constexpr std::string_view kTurns[] = {"provider", "challenger"};
constexpr Field kDispute[] = {
    {"challenger", Word::address}, {"turn", Word::choice, kTurns}, {"moves", Word::quantity},
    {"lost", Word::quantity},      {"movedAt", Word::quantity},    {"bond", Word::quantity},
    {"stateHash", Word::bytes32},
};
constexpr Field kProvider[] = {
    {"name", Word::text},
    {"endpoint", Word::text},
    {"capability", Word::text},
    {"stake", Word::quantity},
    {"reserved", Word::quantity},
    {"unbonding", Word::quantity},
    {"releaseBlock", Word::quantity},
    {"registered", Word::boolean},
};
constexpr Field kModel[] = {
    {"jobId", Word::quantity},       {"program", Word::bytes32},   {"programId", Word::bytes32},
    {"dataRoot", Word::bytes32},     {"stateRoot", Word::bytes32}, {"stateBlob", Word::bytes32},
    {"segmentsRoot", Word::bytes32}, {"segments", Word::quantity}, {"loss", Word::loss},
    {"providers", Word::addresses},  {"licence", Word::text},
};
constexpr Field kOwner[] = {{"owner", Word::address}};
constexpr Field kWait[] = {{"auditWaitBlocks", Word::quantity}};

struct View {
    Address contract;
    std::string_view signature;
    std::span<const Field> fields;
};
constexpr View kJobView{kComputeMarket, "job(uint256)", kJob};
constexpr View kSpecView{kComputeMarket, "spec(uint256)", kSpec};
constexpr View kSegmentView{kComputeMarket, "segment(uint256,uint32)", kSegment};
constexpr View kWaitView{kComputeMarket, "auditWait(uint256,uint32)", kWait};
constexpr View kChallengeView{kComputeMarket, "challengeOf(uint256,uint32)", kChallenge};
constexpr View kDisputeView{kComputeMarket, "disputeOf(uint256,uint32)", kDispute};
constexpr View kProviderView{kProviderRegistry, "provider(address)", kProvider};
constexpr View kModelView{kModelRegistry, "record(uint256)", kModel};
constexpr View kOwnerView{kModelRegistry, "ownerOf(uint256)", kOwner};

Outcome write_view(Call& call, const Hash& block, const View& view,
                   std::initializer_list<Uint256> arguments) {
    const auto answer = call_view(call.backend, block, view.contract, view.signature, arguments);
    if (!answer) return Unexpected(answer.error());
    return write_struct(call.out, *answer, view.fields);
}

Outcome write_job(Call& call, const Hash& block, uint64_t id) {
    call.out.key("id").quantity(id);
    if (auto done = write_view(call, block, kJobView, {Uint256(id)}); !done) return done;
    call.out.key("spec").begin_object();
    if (auto done = write_view(call, block, kSpecView, {Uint256(id)}); !done) return done;
    call.out.end_object();
    return Done{};
}

struct Page {
    uint64_t first = 0, end = 0;
};

/// Optional parameters `i` and `i` + 1: where to begin and how many; without them the first page.
Page page_of(const Call& call, size_t i, uint64_t total, uint64_t max) {
    const uint64_t first = std::min(call.args.value_or<uint64_t>(i, 0), total);
    const uint64_t count = std::min(call.args.value_or<uint64_t>(i + 1, max), max);
    return {first, first + std::min(count, total - first)};
}

/// {"total": n, <name>: [...]} with one object per index of the page.
template <class WriteItem>
Outcome write_page(Call& call, std::string_view name, uint64_t total, WriteItem write_item) {
    const auto page = page_of(call, 0, total, kPageMax);
    const ReadTime time(call.service.options());
    call.out.begin_object().key("total").quantity(total).key(name).begin_array();
    for (uint64_t i = page.first; i < page.end; ++i) {
        if (time.is_up()) return Unexpected(time.refusal());
        call.out.begin_object();
        if (Outcome done = write_item(i); !done) return done;
        call.out.end_object();
    }
    call.out.end_array().end_object();
    return Done{};
}

Outcome jobs(Call& call) {
    const Hash block = head(call.backend)->hash;
    const auto total = call_count(call.backend, block, kComputeMarket, "jobCount()");
    if (!total) return Unexpected(total.error());
    return write_page(call, "jobs", *total, [&](uint64_t i) { return write_job(call, block, i); });
}

/// What somebody has against a segment, with its name; nothing if nobody does. Rounds of level 1
/// above that of the committee are those of challenges; a segment that waits for one has its number
/// already.
struct Objection {
    std::string_view name;
    View view;
};
constexpr size_t kState = 0, kRound = 13;  // members of a segment
constexpr uint64_t kCommitted = 1;
std::optional<Objection> objection_to(BytesView segment) {
    constexpr uint64_t kLevel1 = 3, kDisputed = 7, kCommitteeRound = 1;
    if (segment.size() < (kRound + 1) * 32) return std::nullopt;
    const auto state = from_be(segment.subspan(kState * 32, 32));
    const auto round = from_be(segment.subspan(kRound * 32, 32));
    if (state == Uint256(kDisputed)) return Objection{"dispute", kDisputeView};
    const bool is_judged = state == Uint256(kCommitted) || state == Uint256(kLevel1);
    if (!is_judged || round <= Uint256(kCommitteeRound)) return std::nullopt;
    return Objection{"challenge", kChallengeView};
}

Outcome write_segment(Call& call, const Hash& block, uint64_t id, uint64_t seg) {
    const auto answer = call_view(call.backend, block, kComputeMarket, kSegmentView.signature,
                                  {Uint256(id), Uint256(seg)});
    if (!answer) return Unexpected(answer.error());
    if (auto done = write_struct(call.out, *answer, kSegment); !done) return done;
    if (from_be(BytesView(*answer).subspan(kState * 32, 32)) == Uint256(kCommitted))
        if (auto done = write_view(call, block, kWaitView, {Uint256(id), Uint256(seg)}); !done)
            return done;
    const auto objection = objection_to(*answer);
    if (!objection) return Done{};
    call.out.key(objection->name).begin_object();
    auto done = write_view(call, block, objection->view, {Uint256(id), Uint256(seg)});
    if (!done) return done;
    call.out.end_object();
    return Done{};
}

Outcome write_segments(Call& call, const Hash& block, uint64_t id) {
    const auto tip = call_view(call.backend, block, kComputeMarket, "job(uint256)", {Uint256(id)});
    if (!tip || tip->size() < 5 * 32) return Unexpected(server_error("no such job"));
    const Uint256 committed = from_be(BytesView(*tip).subspan(4 * 32, 32));  // member `tip`
    const auto page = page_of(call, 1, committed.low(), kSegmentsPageMax);
    const ReadTime time(call.service.options());
    call.out.key("segments").begin_array();
    for (uint64_t seg = page.first; seg < page.end; ++seg) {
        if (time.is_up()) return Unexpected(time.refusal());
        call.out.begin_object().key("index").quantity(seg);
        if (auto done = write_segment(call, block, id, seg); !done) return done;
        call.out.end_object();
    }
    call.out.end_array();
    return Done{};
}

Outcome job(Call& call) {
    const Hash block = head(call.backend)->hash;
    const uint64_t id = call.args.at<uint64_t>(0);
    const auto total = call_count(call.backend, block, kComputeMarket, "jobCount()");
    if (!total) return Unexpected(total.error());
    if (id >= *total) {
        call.out.null();
        return Done{};
    }
    call.out.begin_object();
    if (auto done = write_job(call, block, id); !done) return done;
    if (auto done = write_segments(call, block, id); !done) return done;
    call.out.end_object();
    return Done{};
}

Outcome providers(Call& call) {
    const Hash block = head(call.backend)->hash;
    const auto total = call_count(call.backend, block, kProviderRegistry, "providerCount()");
    if (!total) return Unexpected(total.error());
    return write_page(call, "providers", *total, [&](uint64_t i) -> Outcome {
        const auto answer =
            call_view(call.backend, block, kProviderRegistry, "providerAt(uint256)", {Uint256(i)});
        if (!answer) return Unexpected(answer.error());
        if (answer->size() != 32)
            return Unexpected(server_error("a system contract answered in an unknown form"));
        call.out.key("address").data(BytesView(*answer).subspan(12));
        return write_view(call, block, kProviderView, {from_be(*answer)});
    });
}

Outcome models(Call& call) {
    const Hash block = head(call.backend)->hash;
    const auto total = call_count(call.backend, block, kModelRegistry, "totalSupply()");
    if (!total) return Unexpected(total.error());
    return write_page(call, "models", *total, [&](uint64_t i) -> Outcome {
        call.out.key("id").quantity(i);
        if (auto done = write_view(call, block, kOwnerView, {Uint256(i)}); !done) return done;
        return write_view(call, block, kModelView, {Uint256(i)});
    });
}

constexpr Param kFirst{"first", Kind::quantity, false};
constexpr Param kCount{"count", Kind::quantity, false};

constexpr Method kMethods[] = {
    {"yard_jobs", jobs, {kFirst, kCount}, Shape::object, false, "training jobs, oldest first"},
    {"yard_job",
     job,
     {{{"id", Kind::quantity, true}, {"firstSegment", Kind::quantity, false}, kCount}},
     Shape::object,
     true,
     "a job with its segments"},
    {"yard_providers", providers, {kFirst, kCount}, Shape::object, false, "registered providers"},
    {"yard_models",
     models,
     {kFirst, kCount},
     Shape::object,
     false,
     "trained models and their owners"},
};

}  // namespace

std::span<const Method> market_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
