// SPDX-License-Identifier: Apache-2.0
// The market behind a node's RPC: one line per call of the contracts.
#include "node/wallet/market.hpp"

#include <algorithm>
#include <set>

#include "core/assert.hpp"
#include "core/hash.hpp"
#include "node/wallet/log_walk.hpp"
#include "node/wallet/market_abi.hpp"
#include "node/wallet/view_call.hpp"

namespace trainyard::node::wallet {
namespace {

AbiValue number(uint64_t value) {
    return AbiValue::of(Uint256(value));
}

Hash moved_topic() {
    return keccak256(as_bytes("DisputeMoved(uint256,uint32,uint8,bytes)"));
}

/// What DisputeMoved tells besides what it indexes.
std::optional<Bytes> moved_state(BytesView data) {
    static const auto type = *parse_abi_type("(uint8,bytes)");
    const auto values = abi_decode(type, data);
    if (!values) return std::nullopt;
    return (*values)[1].bytes;
}

/// The same after each start, and nobody else's guess.
Hash blob_owner_of(const SecretKey& key) {
    Bytes preimage(key.begin(), key.end());
    append(preimage, as_bytes("trainyard blob owner 1"));
    return sha256(preimage);
}

class RpcMarket final : public MarketApi {
public:
    /// Blobs have a connection of their own: calls do not wait behind a long transfer.
    RpcMarket(std::unique_ptr<EthClient> client, std::unique_ptr<EthClient> blobs,
              const SecretKey& key, SenderOptions sending)
        : client_(std::move(client)),
          blobs_(std::move(blobs)),
          sender_(*client_, key, std::move(sending)),
          blob_owner_(blob_owner_of(key)) {}

    Address self() const override { return sender_.address(); }
    Answer<uint64_t> block_number() override { return client_->block_number(); }
    Answer<double> block_seconds() override {
        constexpr uint64_t kSpan = 128, kLeast = 16;
        const auto head = client_->block("latest");
        if (!head) return unexpected(head.error());
        const uint64_t span = std::min(kSpan, head->number);
        if (span < kLeast) return 0.0;
        // Block 1 and later: a genesis may be much older than its chain.
        const auto before = client_->block(to_quantity(Uint256(head->number - span + 1)));
        if (!before) return unexpected(before.error());
        return static_cast<double>(head->timestamp - std::min(head->timestamp, before->timestamp)) /
               static_cast<double>(span - 1);
    }

    Answer<uint64_t> job_count() override {
        return read<uint64_t>({kMarket, "jobCount()", {}, "(uint256)"},
                              [](const AbiValue& v) { return v[0].u64(); });
    }
    Answer<std::vector<uint64_t>> changed_jobs(uint64_t from_block, uint64_t to_block) override {
        const auto logs = client_->logs({from_block, to_block, kMarket, {}});
        if (!logs) return unexpected(logs.error());
        std::set<uint64_t> jobs;
        for (const auto& placed : *logs)
            if (placed.log.topics.size() > 1) jobs.insert(from_hash(placed.log.topics[1]).low());
        return std::vector<uint64_t>(jobs.begin(), jobs.end());
    }
    Answer<Job> job(uint64_t id) override {
        return read<Job>({kMarket, "job(uint256)", {number(id)}, in_parentheses(kJobType)},
                         [](const AbiValue& v) { return job_from(v[0]); });
    }
    Answer<JobSpec> spec(uint64_t id) override {
        return read<JobSpec>({kMarket, "spec(uint256)", {number(id)}, in_parentheses(kJobSpecType)},
                             [](const AbiValue& v) { return job_spec_from(v[0]); });
    }
    Answer<Segment> segment(uint64_t id, uint32_t seg) override {
        return read<Segment>({kMarket,
                              "segment(uint256,uint32)",
                              {number(id), number(seg)},
                              in_parentheses(kSegmentType)},
                             [](const AbiValue& v) { return segment_from(v[0]); });
    }
    Answer<std::vector<Address>> auditors(uint64_t id, uint32_t seg) override {
        return read<std::vector<Address>>(
            {kMarket, "auditors(uint256,uint32)", {number(id), number(seg)}, "(address[])"},
            [](const AbiValue& v) {
                std::vector<Address> out;
                for (const auto& item : v[0].items) out.push_back(item.address());
                return out;
            });
    }
    Answer<std::vector<UnitDrawing>> units_of(uint64_t id, uint32_t seg,
                                              const Address& auditor) override {
        return units({kMarket,
                      "unitsOf(uint256,uint32,address)",
                      {number(id), number(seg), AbiValue::of(auditor)},
                      "(uint32[],uint32[])"});
    }
    Answer<std::vector<UnitDrawing>> units_to_open(uint64_t id, uint32_t seg) override {
        return units({kMarket,
                      "unitsToOpen(uint256,uint32)",
                      {number(id), number(seg)},
                      "(uint32[],uint32[])"});
    }
    Answer<Phase> phase(uint64_t id, uint32_t seg) override {
        return read<Phase>({kMarket, "phase(uint256,uint32)", {number(id), number(seg)}, "(uint8)"},
                           [](const AbiValue& v) {
                               return v[0].u64() <= 5 ? static_cast<Phase>(v[0].u64())
                                                      : Phase::none;
                           });
    }
    Answer<Hash> tile_seed(uint64_t id, uint32_t seg, const Address& auditor) override {
        return read<Hash>({kMarket,
                           "tileSeed(uint256,uint32,address)",
                           {number(id), number(seg), AbiValue::of(auditor)},
                           "(bytes32)"},
                          [](const AbiValue& v) { return v[0].hash(); });
    }
    Answer<AnswerState> answer_of(uint64_t id, uint32_t seg, const Address& auditor) override {
        return read<AnswerState>({kMarket,
                                  "answerOf(uint256,uint32,address)",
                                  {number(id), number(seg), AbiValue::of(auditor)},
                                  "(bytes32,uint8,bytes32[])"},
                                 [](const AbiValue& v) {
                                     const auto raw = v[1].u64();
                                     AnswerState out{v[0].hash(), Verdict::none, {}};
                                     if (raw <= 2) out.verdict = static_cast<Verdict>(raw);
                                     for (const auto& item : v[2].items)
                                         out.answers.push_back(item.hash());
                                     return out;
                                 });
    }
    Answer<uint64_t> audit_wait(uint64_t id, uint32_t seg) override {
        return read<uint64_t>(
            {kMarket, "auditWait(uint256,uint32)", {number(id), number(seg)}, "(uint256)"},
            [](const AbiValue& v) { return v[0].u64(); });
    }
    Answer<Uint256> challenge_bond(uint64_t id, uint32_t seg) override {
        return amount(
            {kMarket, "challengeBond(uint256,uint32)", {number(id), number(seg)}, "(uint256)"});
    }
    Answer<Challenge> challenge_of(uint64_t id, uint32_t seg) override {
        return read<Challenge>(
            {kMarket,
             "challengeOf(uint256,uint32)",
             {number(id), number(seg)},
             "((address,uint8,uint256))"},
            [](const AbiValue& v) {
                const auto& c = v[0];
                return Challenge{c[0].address(), static_cast<uint8_t>(c[1].u64()), c[2].number};
            });
    }
    Answer<Uint256> dispute_bond(uint64_t id, uint32_t seg) override {
        return amount({kMarket,
                       "disputeBond(uint256,uint32,address)",
                       {number(id), number(seg), AbiValue::of(sender_.address())},
                       "(uint256)"});
    }
    Answer<Uint256> appeal_bond(uint64_t id) override {
        return amount({kMarket, "appealBond(uint256)", {number(id)}, "(uint256)"});
    }
    Answer<Dispute> dispute_of(uint64_t id, uint32_t seg) override {
        return read<Dispute>({kMarket,
                              "disputeOf(uint256,uint32)",
                              {number(id), number(seg)},
                              in_parentheses(kDisputeType)},
                             [](const AbiValue& v) { return dispute_from(v[0]); });
    }
    Answer<Bytes> dispute_state(uint64_t id, uint32_t seg, const Dispute& dispute) override {
        const auto logs =
            client_->logs({dispute.moved_at,
                           dispute.moved_at,
                           kMarket,
                           {moved_topic(), to_hash(Uint256(id)), to_hash(Uint256(seg))}});
        if (!logs) return unexpected(logs.error());
        for (const auto& placed : *logs) {
            auto state = moved_state(placed.log.data);
            if (state && keccak256(*state) == dispute.state_hash) return std::move(*state);
        }
        return unexpected(WalletError{WalletErrorCode::not_found,
                                      "no event of block " + std::to_string(dispute.moved_at) +
                                          " tells the dispute's state"});
    }
    Answer<training::AuditLimits> audit_limits() override {
        return read<training::AuditLimits>(
            {kMarket, "params()", {}, in_parentheses(kParamsType)},
            [](const AbiValue& v) { return audit_limits_from(v[0]); });
    }
    Answer<MarketTerms> terms() override {
        return read<MarketTerms>({kMarket, "params()", {}, in_parentheses(kParamsType)},
                                 [](const AbiValue& v) { return market_terms_from(v[0]); });
    }
    Answer<Uint256> bond(uint64_t id) override {
        return amount({kMarket, "bond(uint256)", {number(id)}, "(uint256)"});
    }
    Answer<Uint256> bond_of(uint64_t id, const Address& who) override {
        return amount({kMarket,
                       "bondOf(uint256,address)",
                       {number(id), AbiValue::of(who)},
                       "(uint256,bool)"});
    }
    Answer<Uint256> challenge_bounty(uint64_t id) override {
        const auto bounty = dispute_bounty(id);
        if (!bounty) return bounty;
        return *bounty / Uint256(2);
    }
    Answer<Uint256> dispute_bounty(uint64_t id) override {
        const auto whole = bond(id);
        if (!whole) return whole;
        return read<Uint256>({kMarket, "params()", {}, in_parentheses(kParamsType)},
                             [&](const AbiValue& v) {
                                 constexpr size_t kBountyBps = 8;
                                 return *whole * v[0][kBountyBps].number / Uint256(10'000);
                             });
    }
    Answer<Uint256> quote(const JobSpec& spec) override {
        static const std::string signature = "quote" + in_parentheses(kJobSpecType);
        return amount({kMarket, signature, {to_abi(spec)}, "(uint256)"});
    }
    Answer<ProviderRecord> provider(const Address& who) override {
        return read<ProviderRecord>(
            {kProviders, "provider(address)", {AbiValue::of(who)}, in_parentheses(kProviderType)},
            [](const AbiValue& v) {
                const auto& p = v[0];
                ProviderRecord out;
                out.registered = !p[7].number.is_zero();
                out.name = std::string(as_text(p[0].bytes));
                out.endpoint = std::string(as_text(p[1].bytes));
                out.stake_wei = p[3].number;
                out.free_wei = checked_sub(p[3].number, p[4].number).value_or(Uint256{});
                out.leaving_wei = p[5].number;
                out.release_block = p[6].u64();
                return out;
            });
    }
    Answer<Uint256> stake_minimum() override {
        return amount({kProviders, "minStake()", {}, "(uint256)"});
    }
    Answer<uint64_t> unstake_blocks() override {
        return read<uint64_t>({kProviders, "unstakeBlocks()", {}, "(uint64)"},
                              [](const AbiValue& v) { return v[0].u64(); });
    }
    Answer<Uint256> credit(const Address& who) override {
        return amount({kMarket, "credit(address)", {AbiValue::of(who)}, "(uint256)"});
    }
    Answer<Uint256> balance(const Address& who) override { return client_->balance(who); }
    Answer<Uint256> gas_price() override {
        const auto head = client_->block("latest");
        if (!head) return unexpected(head.error());
        return head->base_fee_wei + Uint256(kWeiInGwei);  // the tip of a first try
    }

    Answer<Done> check_post(const JobSpec& spec, const Uint256& escrow_wei) override {
        const auto output = client_->call({self(), kMarket, escrow_wei, post_data(spec)});
        if (!output) return unexpected(output.error());
        return Done{};
    }
    Answer<TxReceipt> post(const JobSpec& spec, const Uint256& escrow_wei) override {
        return sender_.send({kMarket, escrow_wei, post_data(spec)});
    }
    Answer<TxReceipt> cancel(uint64_t id) override { return send("cancel(uint256)", {number(id)}); }
    Answer<TxReceipt> take(uint64_t id) override { return send("take(uint256)", {number(id)}); }
    Answer<TxReceipt> release(uint64_t id) override {
        return send("release(uint256)", {number(id)});
    }
    Answer<TxReceipt> commit(uint64_t id, const Commitment& c) override {
        return send("commit(uint256,uint32,bytes32,bytes32,bytes32,uint32,bytes32)",
                    {number(id), number(c.seg), AbiValue::of(c.first), AbiValue::of(c.last),
                     AbiValue::of(c.steps_root), number(c.loss_bits), AbiValue::of(c.state_blob)});
    }
    Answer<TxReceipt> commit_divergence(uint64_t id, const Divergence& d) override {
        return send("commitDivergence(uint256,uint32,bytes32,uint32)",
                    {number(id), number(d.seg), AbiValue::of(d.first), number(d.step)});
    }
    Answer<TxReceipt> serve(uint64_t id, uint32_t seg, const Hash& bundle_blob) override {
        return send("serve(uint256,uint32,bytes32)",
                    {number(id), number(seg), AbiValue::of(bundle_blob)});
    }
    Answer<TxReceipt> open(uint64_t id, uint32_t seg,
                           const std::vector<UnitOpening>& openings) override {
        static const std::string signature =
            "open(uint256,uint32," + std::string(kUnitOpeningType) + "[])";
        AbiValue list;
        for (const auto& opening : openings) list.items.push_back(to_abi(opening));
        return send(signature, {number(id), number(seg), std::move(list)});
    }
    Answer<TxReceipt> commit_answer(uint64_t id, uint32_t seg, const Hash& c) override {
        return send("commitAnswer(uint256,uint32,bytes32)",
                    {number(id), number(seg), AbiValue::of(c)});
    }
    Answer<TxReceipt> reveal_answer(uint64_t id, uint32_t seg, const RevealedAnswer& a) override {
        return send("revealAnswer(uint256,uint32,uint8,bytes32[],bytes32)",
                    {number(id), number(seg), number(static_cast<uint64_t>(a.verdict)),
                     to_abi(a.answers), AbiValue::of(a.salt)});
    }
    Answer<TxReceipt> challenge(uint64_t id, uint32_t seg, const Uint256& bond_wei) override {
        return sender_.send(
            {kMarket, bond_wei, call_data("challenge(uint256,uint32)", {number(id), number(seg)})});
    }
    Answer<TxReceipt> dispute(uint64_t id, uint32_t seg, const Uint256& bond_wei) override {
        return sender_.send(
            {kMarket, bond_wei, call_data("dispute(uint256,uint32)", {number(id), number(seg)})});
    }
    Answer<TxReceipt> play(uint64_t id, uint32_t seg, BytesView state, BytesView move) override {
        return send("play(uint256,uint32,bytes,bytes)",
                    {number(id), number(seg), AbiValue::of_bytes(state), AbiValue::of_bytes(move)});
    }
    Answer<TxReceipt> appeal(uint64_t id, uint32_t seg, const Uint256& bond_wei) override {
        return sender_.send(
            {kMarket, bond_wei, call_data("appeal(uint256,uint32)", {number(id), number(seg)})});
    }
    Answer<TxReceipt> reclaim(uint64_t id, uint32_t seg, uint32_t attempt) override {
        return send("reclaim(uint256,uint32,uint32)", {number(id), number(seg), number(attempt)});
    }
    Answer<TxReceipt> register_provider(std::string_view name, std::string_view endpoint,
                                        const Uint256& stake_wei) override {
        return sender_.send({kProviders, stake_wei,
                             call_data("register(string,string,string)",
                                       {AbiValue::of(name), AbiValue::of(endpoint),
                                        AbiValue::of(std::string_view("cpu"))})});
    }
    Answer<TxReceipt> add_stake(const Uint256& stake_wei) override {
        return sender_.send({kProviders, stake_wei, call_data("addStake()", {})});
    }
    Answer<TxReceipt> request_unstake(const Uint256& stake_wei) override {
        return sender_.send(
            {kProviders, {}, call_data("requestUnstake(uint256)", {AbiValue::of(stake_wei)})});
    }
    Answer<TxReceipt> withdraw_stake() override {
        return sender_.send({kProviders, {}, call_data("withdraw()", {})});
    }
    Answer<TxReceipt> withdraw() override { return send("withdraw()", {}); }

    Answer<TxReceipt> nudge(Nudge what, uint64_t id, uint32_t seg) override {
        return sender_.send({kMarket, {}, nudge_data(what, id, seg)});
    }
    Answer<bool> can_nudge(Nudge what, uint64_t id, uint32_t seg) override {
        const auto output = client_->call({self(), kMarket, {}, nudge_data(what, id, seg)});
        if (output) return true;
        if (output.error().code == WalletErrorCode::reverted) return false;
        return unexpected(output.error());
    }

    SenderStatus sending() const override { return sender_.status(); }
    void close() override {
        client_->close();
        blobs_->close();
    }
    Answer<Hash> put_blob(BytesView content) override { return blobs_->put_blob(content); }
    Answer<Hash> keep_blob(BytesView content) override {
        return blobs_->put_blob(content, blob_owner_);
    }
    Answer<Done> release_blob(const Hash& id) override {
        return blobs_->release_blob(id, blob_owner_);
    }
    Answer<Bytes> get_blob(const Hash& id, uint64_t size_bytes_max) override {
        return blobs_->get_blob(id, size_bytes_max);
    }
    Answer<BlobPlace> seek_blob(const Hash& id) override { return client_->seek_blob(id); }

private:
    static Bytes post_data(const JobSpec& spec) {
        static const std::string signature = "post" + in_parentheses(kJobSpecType);
        return call_data(signature, {to_abi(spec)});
    }

    template <class T, class F>
    Answer<T> read(const ViewCall& view, F convert) {
        const auto value = ask(*client_, view);
        if (!value) return unexpected(value.error());
        return convert(*value);
    }
    Answer<Uint256> amount(const ViewCall& view) {
        return read<Uint256>(view, [](const AbiValue& v) { return v[0].number; });
    }
    Answer<std::vector<UnitDrawing>> units(const ViewCall& view) {
        const auto value = ask(*client_, view);
        if (!value) return unexpected(value.error());
        const auto &t = (*value)[0].items, &j = (*value)[1].items;
        if (t.size() != j.size()) return unexpected(unreadable(view.signature));
        std::vector<UnitDrawing> out;
        for (size_t i = 0; i < t.size(); ++i) out.push_back({t[i].u32(), j[i].u32()});
        return out;
    }
    Answer<TxReceipt> send(std::string_view signature, std::vector<AbiValue> arguments) {
        return sender_.send({kMarket, {}, call_data(signature, std::move(arguments))});
    }
    Bytes nudge_data(Nudge what, uint64_t id, uint32_t seg) const {
        switch (what) {
            case Nudge::open_audit:
                return call_data("openAudit(uint256,uint32)", {number(id), number(seg)});
            case Nudge::advance:
                return call_data("advance(uint256,uint32)", {number(id), number(seg)});
            case Nudge::timeout:
                return call_data("timeout(uint256,uint32)", {number(id), number(seg)});
            case Nudge::finalize:
                return call_data("finalize(uint256,uint32)", {number(id), number(16)});
            case Nudge::evict:
                return call_data("evict(uint256)", {number(id)});
            case Nudge::expire:
                return call_data("expire(uint256)", {number(id)});
            case Nudge::close:
                return call_data("close(uint256)", {number(id)});
            case Nudge::free_bond:
                return call_data("freeBond(uint256,address)",
                                 {number(id), AbiValue::of(sender_.address())});
        }
        return {};
    }

    std::unique_ptr<EthClient> client_, blobs_;
    TxSender sender_;
    const Hash blob_owner_;
};

/// Which events index a segment and an account after the job, and where their names come from.
struct EventShape {
    std::string_view name;
    std::string_view types;
    bool has_segment;
    bool has_account;
};
constexpr EventShape kEvents[] = {
    {"JobPosted",
     "(uint256,address,address,(bytes32,bytes32,bytes32,bytes32,uint32,uint32,uint32,uint64,"
     "uint64,uint256,uint256,uint64,address,string))",
     false, true},
    {"JobTaken", "(uint256,address,uint256)", false, true},
    {"JobReopened", "(uint256,string)", false, false},
    {"JobClosed", "(uint256,uint8,uint256,uint256)", false, false},
    {"JobCancelled", "(uint256)", false, false},
    {"SegmentCommitted", "(uint256,uint32,address,bytes32,bytes32,uint32)", true, true},
    {"SegmentDiverged", "(uint256,uint32,address,uint32)", true, true},
    {"AuditPostponed", "(uint256,uint32,uint64)", true, false},
    {"AuditWaits", "(uint256,uint32,uint256)", true, false},
    {"AuditOpened", "(uint256,uint32,uint8,uint8,address[],bytes32)", true, false},
    {"BundleServed", "(uint256,uint32,bytes32)", true, false},
    {"AnswerCommitted", "(uint256,uint32,address,bytes32)", true, true},
    {"AnswerRevealed", "(uint256,uint32,address,uint8)", true, true},
    {"SegmentOpened", "(uint256,uint32,uint256)", true, false},
    {"SegmentAccepted", "(uint256,uint32,bool)", true, false},
    {"SegmentChallenged", "(uint256,uint32,address,uint256)", true, true},
    {"ChallengeSettled", "(uint256,uint32,address,bool,uint256)", true, true},
    {"SegmentDisputed", "(uint256,uint32,address,uint256)", true, true},
    {"DisputeMoved", "(uint256,uint32,uint8,bytes)", true, false},
    {"DisputeSettled", "(uint256,uint32,address,bool,uint256)", true, true},
    {"SegmentConvicted", "(uint256,uint32,address,uint64)", true, true},
    {"SegmentAppealed", "(uint256,uint32,address,uint256)", true, true},
    {"AppealSettled", "(uint256,uint32,address,bool,uint256)", true, true},
    {"SegmentFinal", "(uint256,uint32,uint256,uint256)", true, false},
    {"SegmentVoid", "(uint256,uint32,address,uint256)", true, true},
    {"ProviderFined", "(uint256,address,uint256)", false, true},
    {"BondFreed", "(uint256,address,uint256)", false, true},
    {"AuditorFined", "(uint256,uint32,address,uint256,string)", true, true},
};

Hash topic_of(const EventShape& shape) {
    return keccak256(as_bytes(std::string(shape.name) + std::string(shape.types)));
}

}  // namespace

std::string_view to_text(JobState state) {
    constexpr std::string_view names[] = {"none", "open", "active", "draining", "closed"};
    return names[static_cast<size_t>(state)];
}
std::string_view to_text(Outcome outcome) {
    constexpr std::string_view names[] = {"none", "complete", "cancelled", "expired", "diverged"};
    return names[static_cast<size_t>(outcome)];
}
std::string_view to_text(SegmentState state) {
    constexpr std::string_view names[] = {"none",      "committed", "audit", "second audit",
                                          "accepted",  "final",     "void",  "disputed",
                                          "convicted", "appealed"};
    return names[static_cast<size_t>(state)];
}

Answer<std::unique_ptr<MarketApi>> open_market(std::string_view url, const SecretKey& key,
                                               SenderOptions sending) {
    auto client = EthClient::open(url);
    if (!client) return unexpected(client.error());
    auto blobs = EthClient::open(url);
    if (!blobs) return unexpected(blobs.error());
    return std::unique_ptr<MarketApi>(
        new RpcMarket(std::move(*client), std::move(*blobs), key, std::move(sending)));
}

Answer<std::vector<Address>> validator_accounts(EthClient& client) {
    const auto value =
        ask(client, {kStaking, "validators()", {}, "((address,bytes,bytes,bytes,uint256)[])"});
    if (!value) return unexpected(value.error());
    std::vector<Address> out;
    for (const auto& item : (*value)[0].items) out.push_back(item[0].address());
    return out;
}

std::optional<MarketEvent> read_event(const PlacedLog& placed) {
    const auto& log = placed.log;
    if (log.address != kMarket || log.topics.size() < 2) return std::nullopt;
    for (const auto& shape : kEvents) {
        if (log.topics[0] != topic_of(shape)) continue;
        const size_t wanted = 2 + size_t{shape.has_segment} + size_t{shape.has_account};
        if (log.topics.size() < wanted) return std::nullopt;
        MarketEvent out;
        out.name = std::string(shape.name);
        out.job = from_hash(log.topics[1]).low();
        size_t next = 2;
        if (shape.has_segment) out.seg = static_cast<uint32_t>(from_hash(log.topics[next++]).low());
        if (shape.has_account) out.who = AbiValue::of(from_hash(log.topics[next])).address();
        out.data = log.data;
        out.block = placed.block;
        out.tx = placed.tx;
        return out;
    }
    return std::nullopt;
}

Answer<std::vector<MarketEvent>> events_of_job(EthClient& client, uint64_t id, uint64_t from_block,
                                               uint64_t to_block) {
    std::vector<MarketEvent> out;
    const auto read =
        each_log(client, {from_block, to_block, kMarket, {std::nullopt, to_hash(Uint256(id))}},
                 [&](const PlacedLog& log) {
                     if (auto event = read_event(log)) out.push_back(std::move(*event));
                     return true;
                 });
    if (!read) return unexpected(read.error());
    return out;
}

}  // namespace trainyard::node::wallet
