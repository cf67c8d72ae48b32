// SPDX-License-Identifier: Apache-2.0
// An event loop in microseconds over real vote machines, with links and processors that take time.
#include "tests/sim/scale.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <variant>

#include "consensus/bft/bft.hpp"
#include "core/hash.hpp"
#include "tests/sim/fake_keys.hpp"
#include "tests/sim/random.hpp"

namespace trainyard::sim {
namespace {

namespace cb = consensus::bft;

constexpr unsigned kRegions = 10;
/// Round-trip times in ms between ten regions of AWS: N. Virginia, N. California, Oregon, Ireland,
/// Frankfurt, Tokyo, Seoul, Singapore, Sydney, Sao Paulo. Averages published in 2017,
/// acomputerscientistlearnsaws.blogspot.com/2017/04/aws-regions.html; today's are rather shorter.
constexpr std::array<std::array<uint16_t, kRegions>, kRegions> kRoundTrip_ms{{
    {1, 73, 87, 81, 89, 145, 178, 217, 230, 120},
    {73, 1, 19, 153, 167, 103, 132, 174, 158, 193},
    {87, 19, 1, 137, 160, 89, 118, 161, 162, 183},
    {81, 153, 137, 1, 20, 212, 242, 239, 310, 191},
    {89, 167, 160, 20, 1, 237, 266, 326, 324, 195},
    {145, 103, 89, 212, 237, 1, 31, 74, 104, 257},
    {178, 132, 118, 242, 266, 31, 1, 72, 134, 286},
    {217, 174, 161, 239, 326, 74, 72, 1, 175, 328},
    {230, 158, 162, 310, 324, 104, 134, 175, 1, 323},
    {120, 193, 183, 191, 195, 257, 286, 328, 323, 1},
}};
/// bench_consensus, 1 MB for 200 validators on a Zen 5 core: making shards, checking and
/// rebuilding.
constexpr uint64_t kDisperse_us_per_mb = 8'000, kRebuild_us_per_mb = 7'000;
constexpr uint64_t kFrameBytes = 64;  ///< of TCP, TLS and the frame around a message

/// Fake signatures that count how often they were checked.
class CountingChecks final : public cb::Checks {
public:
    explicit CountingChecks(const cb::Checks& inner) : inner_(inner) {}
    bool verify(const PublicKey& key, const Hash& digest,
                const CompactSig& signature) const override {
        ++count;
        return inner_.verify(key, digest, signature);
    }
    std::optional<Hash> verify_vrf(const PublicKey& key, BytesView alpha,
                                   const vrf::Proof& proof) const override {
        return inner_.verify_vrf(key, alpha, proof);
    }
    bool is_body_of(const Header& header, BytesView body) const override {
        return inner_.is_body_of(header, body);
    }
    bool is_plausible(const Header& parent, const Header& header) const override {
        return inner_.is_plausible(parent, header);
    }
    mutable uint64_t count = 0;

private:
    const cb::Checks& inner_;
};

class OneSet final : public consensus::ValidatorSets {
public:
    explicit OneSet(std::vector<consensus::Validator> validators)
        : set_(std::make_shared<const consensus::ValidatorSet>(
              *consensus::ValidatorSet::make(std::move(validators)))) {}
    consensus::SetPtr of_epoch(Epoch) const override { return set_; }

private:
    consensus::SetPtr set_;
};

using MessagePtr = std::shared_ptr<const cb::Message>;
struct Arrival {
    unsigned from = 0;
    MessagePtr message;
};
struct Happening {
    uint64_t at_us = 0, order = 0;
    unsigned node = 0;
    std::variant<cb::Input, Arrival> what;
};
struct Later {
    bool operator()(const Happening& a, const Happening& b) const {
        return std::pair(a.at_us, a.order) > std::pair(b.at_us, b.order);
    }
};

struct Site {
    std::unique_ptr<CountingChecks> checks;
    std::unique_ptr<cb::Bft> machine;
    uint64_t busy_until_us = 0;                      ///< its processor
    uint64_t votes_until_us = 0, bulk_until_us = 0;  ///< its uplink, by lane: votes overtake
    uint64_t down_until_us = 0;
    uint64_t sent_bytes = 0;
    std::map<Hash, Hash> states;
    std::vector<Hash> finals;
};

/// What happened to a block at one node, in us.
struct Passage {
    uint64_t body = 0, executed = 0, certified = 0;
};

/// A block by itself, and at each node.
struct Story {
    unsigned leader = 0;
    Hash parent;
    uint64_t born_us = 0;
    std::map<unsigned, Passage> at;
};

class World {
public:
    explicit World(const ScaleOptions& options)
        : options_(options),
          random_(options.seed),
          keys_(make_keyring(std::vector<uint64_t>(options.nodes, 10), Keys::fake)),
          sets_(keys_.validators) {
        genesis_.prev_randao = keccak256(as_bytes("seed of a wide network"));
        genesis_.state_root = keccak256(as_bytes("state of a wide network"));
        genesis_hash_ = hash_header(genesis_);
        cb::Params params;
        params.chain = {1, genesis_hash_};
        params.block_interval_ms = 0;
        params.epoch_length = uint64_t{1} << 40;
        if (options.whole) params.dispersal_set_min = SIZE_MAX;
        sites_.resize(options.nodes);
        for (unsigned i = 0; i < options.nodes; ++i) {
            auto& site = sites_[i];
            index_of_[keys_.validators[i].p2p_key] = i;
            params.self = keys_.validators[i].consensus_key;
            site.checks = std::make_unique<CountingChecks>(*keys_.checks);
            site.states[genesis_hash_] = genesis_.state_root;
            cb::Recovered start{
                {genesis_, genesis_hash_,
                 consensus::BeaconTrail(params.mini_epoch_length, genesis_.prev_randao), nullptr},
                {}};
            site.machine = std::make_unique<cb::Bft>(params, sets_, std::move(start),
                                                     keys_.signers[i].get(), *site.checks);
            push(random_.between(0, 2'000), i, cb::Input(cb::Start{}));
        }
    }

    ScaleResult run() {
        const uint64_t wanted = 2 * options_.blocks;
        while (!queue_.empty() && lowest() < wanted && now_us_ < kLimit_us) {
            const auto next = queue_.top();
            queue_.pop();
            now_us_ = next.at_us;
            handle(next);
            if (start_us_ == 0 && lowest() >= options_.blocks) begin_measuring();
        }
        return result();
    }

private:
    static constexpr uint64_t kLimit_us = 600'000'000;

    [[nodiscard]] uint64_t lowest() const { return final_count_.empty() ? 0 : lowest_; }

    void push(uint64_t at_us, unsigned node, std::variant<cb::Input, Arrival> what) {
        queue_.push({at_us, order_++, node, std::move(what)});
    }

    void begin_measuring() {
        start_us_ = now_us_;
        for (auto& site : sites_) {
            verified_before_ += site.checks->count;
            site.sent_bytes = 0;
        }
        view_before_ = sites_[0].machine->standing().view.value;
    }

    /// A node does one thing after the other: what comes while it is busy waits.
    void handle(const Happening& event) {
        auto& site = sites_[event.node];
        if (site.busy_until_us > now_us_) {
            push(site.busy_until_us, event.node, event.what);
            return;
        }
        const uint64_t before = site.checks->count;
        uint64_t cost_us = 1;
        std::vector<cb::Effect> effects;
        if (const auto* arrival = std::get_if<Arrival>(&event.what)) {
            if (const auto* shards = std::get_if<cb::Shards>(arrival->message.get()))
                cost_us += shard_cost_us(event.node, *shards);
            effects = site.machine->step(
                cb::Received{keys_.validators[arrival->from].p2p_key, *arrival->message});
        } else {
            const auto& input = std::get<cb::Input>(event.what);
            if (const auto* verdict = std::get_if<cb::BlockVerdict>(&input))
                stories_[verdict->block].at[event.node].executed = now_us_;
            effects = site.machine->step(input);
        }
        cost_us += (site.checks->count - before) * options_.verify_us;
        for (const auto& effect : effects)
            if (const auto* send = std::get_if<cb::Broadcast>(&effect);
                send && send->followers_only)
                cost_us += kDisperse_us_per_mb * options_.body_size_bytes / 1'000'000;
        site.busy_until_us = now_us_ + cost_us;
        const uint64_t sent_before = site.sent_bytes;
        for (const auto& effect : effects) apply(event.node, effect);
        burst_bytes_ = std::max(burst_bytes_, site.sent_bytes - sent_before);
    }

    /// Checking and rebuilding, shared out over the shards that a body needs; later ones are
    /// dropped.
    [[nodiscard]] uint64_t shard_cost_us(unsigned node, const cb::Shards& message) const {
        const auto story = stories_.find(message.block);
        if (story != stories_.end() && story->second.at.contains(node)) return 0;
        size_t bytes = 0;
        for (const auto& shard : message.shards) bytes += shard.data.size();
        return kRebuild_us_per_mb * bytes / 1'000'000;
    }

    void transmit(unsigned from, unsigned to, const MessagePtr& message, size_t size_bytes) {
        auto& sender = sites_[from];
        auto& receiver = sites_[to];
        const uint64_t wire_us = (size_bytes + kFrameBytes) * 8'000'000 / options_.uplink_bit_per_s;
        const bool is_vote = cb::lane_of(*message) == cb::Lane::votes;
        auto& lane = is_vote ? sender.votes_until_us : sender.bulk_until_us;
        lane = std::max(lane, sender.busy_until_us) + wire_us;
        if (is_vote) sender.bulk_until_us += wire_us;
        sender.sent_bytes += size_bytes + kFrameBytes;
        const auto a = from % options_.regions, b = to % options_.regions;
        const uint64_t there_us = lane + kRoundTrip_ms[a][b] * 500ull + random_.between(0, 1'000);
        if (!is_vote) receiver.down_until_us = std::max(receiver.down_until_us, there_us) + wire_us;
        push(is_vote ? there_us : receiver.down_until_us, to, Arrival{from, message});
    }

    void apply(unsigned node, const cb::Effect& effect) {
        if (const auto* send = std::get_if<cb::Send>(&effect)) {
            const auto message = std::make_shared<const cb::Message>(send->message);
            transmit(node, index_of_.at(send->to), message, cb::encode_message(*message).size());
        } else if (const auto* all = std::get_if<cb::Broadcast>(&effect)) {
            if (all->followers_only) return;
            const auto message = std::make_shared<const cb::Message>(all->message);
            const size_t size_bytes = cb::encode_message(*message).size();
            const auto first = index_of_.find(all->first);
            const bool has_first = first != index_of_.end() && first->second != node;
            if (has_first) transmit(node, first->second, message, size_bytes);
            // Each node has its own order, so that nobody is always served last.
            for (unsigned i = 1; i < sites_.size(); ++i) {
                const unsigned to = (node + i) % options_.nodes;
                if (!has_first || to != first->second) transmit(node, to, message, size_bytes);
            }
        } else if (const auto* timer = std::get_if<cb::SetTimer>(&effect)) {
            push(now_us_ + timer->after_ms * 1'000, node, cb::Input(cb::Timeout{timer->id}));
        } else if (const auto* build = std::get_if<cb::Build>(&effect)) {
            on(node, *build);
        } else if (const auto* execute = std::get_if<cb::Execute>(&effect)) {
            on(node, *execute);
        } else if (const auto* certified = std::get_if<cb::Certified>(&effect)) {
            stories_[certified->block->hash].at[node].certified = now_us_;
        } else if (const auto* done = std::get_if<cb::Finalized>(&effect)) {
            on(node, *done);
        } else if (const auto* gone = std::get_if<cb::GaveUp>(&effect)) {
            if (start_us_ != 0) given_up_.insert(gone->view.value);
        } else if (std::holds_alternative<cb::Diverged>(effect)) {
            failure_ = "a node calls a final block invalid";
        }
    }

    void on(unsigned node, const cb::Build& e) {
        auto& site = sites_[node];
        Bytes body(options_.body_size_bytes);
        for (size_t i = 0; i + 8 <= body.size(); i += 8) {
            const uint64_t word = random_.next();
            std::memcpy(&body[i], &word, 8);
        }
        Header header;
        header.parent_hash = e.parent_hash;
        header.number = e.parent.number + 1;
        header.timestamp = std::max(e.parent.timestamp, now_us_ / 1'000'000);
        header.transactions_root = body_root(body);
        header.state_root = state_after(site.states.at(e.parent_hash), body);
        header.extra_data = e.extra_data;
        header.prev_randao = e.prev_randao;
        const auto block = cb::make_block(std::move(header), std::move(body));
        site.states[block->hash] = block->header.state_root;
        const uint64_t ready_us = site.busy_until_us + options_.execute_us;
        auto& story = stories_[block->hash];
        story.leader = node;
        story.parent = e.parent_hash;
        story.born_us = ready_us;
        story.at[node].body = ready_us;
        push(ready_us, node, cb::Input(cb::BuiltBlock{e.epoch, e.view, e.parent_hash, block}));
    }

    /// On a thread of its own, as in a node.
    void on(unsigned node, const cb::Execute& e) {
        auto& site = sites_[node];
        site.states[e.block->hash] = e.block->header.state_root;
        stories_[e.block->hash].at[node].body = now_us_;
        push(now_us_ + options_.execute_us, node,
             cb::Input(cb::BlockVerdict{e.block->hash, cb::Verdict::valid}));
    }

    void on(unsigned node, const cb::Finalized& e) {
        auto& site = sites_[node];
        const size_t height = e.block->header.number;
        site.finals.push_back(e.block->hash);
        if (chain_.size() < height)
            chain_.push_back(e.block->hash), first_final_us_.push_back(now_us_);
        if (chain_[height - 1] != e.block->hash) failure_ = "two blocks final at one height";
        if (start_us_ != 0) final_us_.push_back(now_us_ - stories_.at(e.block->hash).born_us);
        if (++final_count_[height] == options_.nodes) lowest_ = height;
    }

    /// Over the final blocks that were measured and have a final child.
    [[nodiscard]] ScaleResult::Stages stages() {
        ScaleResult::Stages sum;
        double count = 0;
        for (size_t height = options_.blocks; height + 1 < chain_.size(); ++height) {
            const auto& block = stories_.at(chain_[height]);
            const auto& next = stories_.at(chain_[height + 1]);
            const auto begun = stories_.at(block.parent).at.find(block.leader);
            auto end = block.at.find(next.leader);
            if (begun == stories_.at(block.parent).at.end() || end == block.at.end()) continue;
            Passage passage = end->second;
            if (next.leader == block.leader) passage.executed = block.born_us;
            const auto ms = [](uint64_t from, uint64_t to) {
                return (static_cast<double>(to) - static_cast<double>(from)) / 1'000;
            };
            sum.building_ms += ms(begun->second.certified, block.born_us);
            sum.body_ms += ms(block.born_us, passage.body);
            sum.execution_ms += ms(passage.body, passage.executed);
            sum.votes_ms += ms(passage.executed, passage.certified);
            ++count;
        }
        for (double* stage : {&sum.building_ms, &sum.body_ms, &sum.execution_ms, &sum.votes_ms})
            *stage /= std::max(1.0, count);
        return sum;
    }

    [[nodiscard]] double quantile(double share) {
        if (final_us_.empty()) return 0;
        std::sort(final_us_.begin(), final_us_.end());
        const auto at = static_cast<size_t>(share * static_cast<double>(final_us_.size() - 1));
        return static_cast<double>(final_us_[at]) / 1'000;
    }

    ScaleResult result() {
        ScaleResult out;
        out.failure = failure_;
        if (lowest() < 2 * options_.blocks && out.failure.empty()) out.failure = "no progress";
        const auto first = options_.blocks;
        out.blocks = first_final_us_.size() - first;
        if (out.blocks > 0)
            out.block_ms =
                static_cast<double>(first_final_us_.back() - first_final_us_[first - 1]) / 1'000 /
                static_cast<double>(out.blocks);
        out.final_ms_p50 = quantile(0.5);
        out.final_ms_p99 = quantile(0.99);
        uint64_t verified = 0, most_sent = 0;
        for (const auto& site : sites_) {
            verified += site.checks->count;
            most_sent = std::max(most_sent, site.sent_bytes);
        }
        const double views =
            static_cast<double>(sites_[0].machine->standing().view.value - view_before_);
        out.verifications_per_view =
            static_cast<double>(verified - verified_before_) / options_.nodes / views;
        out.verify_ms_per_view =
            out.verifications_per_view * static_cast<double>(options_.verify_us) / 1'000;
        out.sent_bytes_per_block =
            static_cast<double>(most_sent) / static_cast<double>(std::max<uint64_t>(1, out.blocks));
        out.burst_bytes = burst_bytes_;
        out.nullified_views = given_up_.size();
        out.stages = stages();
        return out;
    }

    const ScaleOptions options_;
    Random random_;
    Keyring keys_;
    OneSet sets_;
    Header genesis_;
    Hash genesis_hash_;
    std::vector<Site> sites_;
    std::map<cb::Peer, unsigned> index_of_;
    std::priority_queue<Happening, std::vector<Happening>, Later> queue_;
    uint64_t now_us_ = 0, order_ = 0, start_us_ = 0;
    std::map<Hash, Story> stories_;
    std::vector<Hash> chain_;
    std::vector<uint64_t> first_final_us_, final_us_;
    std::map<uint64_t, unsigned> final_count_;
    std::set<uint64_t> given_up_;
    uint64_t lowest_ = 0, verified_before_ = 0, view_before_ = 0, burst_bytes_ = 0;
    std::string failure_;
};

}  // namespace

ScaleResult simulate_scale(const ScaleOptions& options) {
    return World(options).run();
}

}  // namespace trainyard::sim
