// SPDX-License-Identifier: Apache-2.0
// The life of a simulated cluster: drawing the faults, the queue of events, crashes and the end.
#include "tests/sim/cluster.hpp"

#include <algorithm>

#include "core/assert.hpp"
#include "core/hash.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;
namespace {

constexpr uint64_t kDeltaMs = 100;
constexpr uint64_t kExecuteMs = 60;
constexpr uint64_t kNoEpochs = uint64_t{1} << 40;  ///< longer than any run
constexpr uint64_t kLookMs = 1000;                 ///< how often nodes compare heights
constexpr uint64_t kRestartMs = 60'000;            ///< in calm runs

std::vector<uint64_t> draw_stakes(const Options& options, Random& random) {
    std::vector<uint64_t> out;
    // Drawn stakes differ little, so that F is never below the largest stake of the set.
    for (unsigned i = 0; i < options.nodes; ++i)
        out.push_back(options.equal_stakes ? 10 : random.between(9, 10));
    return out;
}

Keys keys_of(const Options& options) {
    if (options.mutation == Mutation::trust_signatures) return Keys::unchecked;
    return options.real_keys ? Keys::real : Keys::fake;
}

/// A seed of the beacon under which the first views have the wanted leaders.
Hash seed_with_leaders(const consensus::ValidatorSet& set, const std::vector<unsigned>& leaders) {
    Hash seed = keccak256(as_bytes("seed of a simulated chain"));
    const auto leads = [&](size_t i) {
        return consensus::leader_of(set, seed, View{i + 1}) == leaders[i];
    };
    for (;; seed = keccak256(seed)) {
        size_t right = 0;
        while (right < leaders.size() && leads(right)) ++right;
        if (right == leaders.size()) return seed;
    }
}

}  // namespace

Cluster::Cluster(const Options& options)
    : options_(options),
      faults_(options.faults),
      random_(options.seed),
      keys_(make_keyring(draw_stakes(options, random_), keys_of(options))) {
    nodes_.resize(options.nodes + options.twins.count);
    draw_faults();
    draw_behaviours();
    std::vector<bool> liars;
    for (unsigned i = 0; i < options.nodes; ++i) liars.push_back(!nodes_[i].honest());
    electorate_ = std::make_unique<Electorate>(keys_.validators, liars, options.churn);
    draw_chain();
    std::vector<bool> honest;
    for (const bool liar : liars) honest.push_back(!liar);
    checker_ = std::make_unique<Checker>(
        std::move(honest),
        Checker::Chain{params_.chain, params_.epoch_length, *electorate_, *keys_.checks});
    network_ = std::make_unique<Network>(faults_, nodes_.size(), kDeltaMs, random_);
}

void Cluster::draw_chain() {
    genesis_.prev_randao = seed_with_leaders(*electorate_->genesis(), options_.twins.leaders);
    genesis_.state_root = keccak256(as_bytes("state of a simulated chain"));
    genesis_hash_ = hash_header(genesis_);
    params_.chain = {options_.seed, genesis_hash_};
    for (auto& node : nodes_) node.liar.chain = params_.chain;
    params_.delta_ms = kDeltaMs;
    params_.execute_ms = kExecuteMs;
    params_.block_interval_ms = random_.one_in(2) ? 0 : random_.between(1, 150);
    if (options_.interval_ms > 0) params_.block_interval_ms = options_.interval_ms;
    params_.mini_epoch_length = random_.between(1, 8);
    params_.skip_after_views = random_.between(4, 16);
    if (random_.one_in(2) ||
        options_.shards) {  // most bodies travel as shards, however few the validators are
        params_.whole_body_max_bytes = 8;
        params_.dispersal_set_min = 2;
    }
    draw_epochs();
    wire_ = random_.one_in(4);
}

void Cluster::draw_epochs() {
    const bool many = options_.churn || (options_.twins.count == 0 && random_.one_in(2));
    params_.epoch_length = many ? random_.between(1, 12) : kNoEpochs;
    if (options_.epoch_length > 0) params_.epoch_length = options_.epoch_length;
}

void Cluster::draw_faults() {
    for (bool* fault : {&faults_.loss, &faults_.delay, &faults_.reorder, &faults_.duplicate,
                        &faults_.partition, &faults_.crash, &faults_.byzantine})
        *fault = *fault && random_.one_in(2);
    if (options_.mutation == Mutation::send_before_sync) faults_.crash = faults_.torn = true;
    if (options_.mutation == Mutation::certify_unexecuted) options_.liars = Behaviour::bad_blocks;
    if (options_.liars) faults_.byzantine = true;
    const bool any = faults_.loss || faults_.delay || faults_.duplicate || faults_.partition ||
                     faults_.crash || options_.mutation != Mutation::none ||
                     options_.twins.count > 0;
    if (any) heal_ms_ = random_.between(options_.faulty_ms_min, options_.faulty_ms_max);
}

void Cluster::draw_behaviours() {
    for (unsigned i = 0; i < nodes_.size(); ++i) {
        const unsigned self = i < options_.nodes ? i : i - options_.nodes;
        auto& liar = nodes_[i].liar;
        nodes_[i].sets = std::make_unique<NodeSets>(*this, i);
        liar.owner = self;
        liar.nodes = options_.nodes;
        liar.signer = keys_.signers[self].get();
        if (self < options_.twins.count) liar.behaviour = Behaviour::twin;
    }
    const bool too_many = options_.mutation == Mutation::too_many_byzantine;
    if (options_.mutation == Mutation::trust_signatures)
        nodes_[0].liar.behaviour = Behaviour::forger;
    else if ((faults_.byzantine || too_many) && options_.twins.count == 0)
        draw_liars(too_many);
}

void Cluster::draw_liars(bool too_many) {
    uint64_t weight = 0, total = 0;
    for (const auto& v : keys_.validators) total += v.stake_gwei;
    const uint64_t bound = (total - 1) / 3;
    unsigned liars = 0;
    for (unsigned i = 0; i < nodes_.size() && liars < options_.byzantine_max; ++i) {
        const auto stake = keys_.validators[i].stake_gwei;
        const bool fits = weight + stake <= bound;
        if (!fits && !(too_many && weight <= bound)) continue;
        weight += stake;
        ++liars;
        nodes_[i].liar.behaviour =
            too_many ? Behaviour::double_voter
                     : static_cast<Behaviour>(random_.between(1, kBehaviours - 1));
        if (options_.liars) nodes_[i].liar.behaviour = *options_.liars;
    }
}

Outcome Cluster::run() {
    for (unsigned i = 0; i < nodes_.size(); ++i) {
        const bool down = i + options_.down_always >= nodes_.size();
        if (!down) push(random_.between(0, 50), i, Control::start);
        if (down && options_.down_until_ms > 0) push(options_.down_until_ms, i, Control::start);
    }
    if (faults_.partition) push(random_.between(0, 1000), 0, Control::split);
    if (options_.mutation == Mutation::too_many_byzantine) {
        std::vector<unsigned> groups;
        unsigned turn = 0;
        for (const auto& node : nodes_) groups.push_back(node.honest() ? 1 + turn++ % 2 : 0);
        network_->force_groups(std::move(groups));
    }
    if (options_.churn)
        for (unsigned i = 0; i < nodes_.size(); ++i)
            push(random_.between(0, kLookMs), i, Control::look);
    if (options_.calm_ms > 0) push(kRestartMs, 0, Control::restart);
    push(heal_ms_, 0, Control::heal);
    height_goal_ = options_.heights_min;
    const uint64_t end_ms =
        std::max({heal_ms_, options_.down_until_ms, options_.calm_ms}) + options_.settle_ms_max;
    while (!queue_.empty() && checker_->failure().empty() && !is_done()) {
        const Due due = queue_.top();
        queue_.pop();
        now_ms_ = due.at_ms;
        const Event event = std::move(events_[due.slot]);
        free_.push_back(due.slot);
        if (now_ms_ > end_ms) {
            checker_->fail("no progress to height " + std::to_string(height_goal_) + describe());
            break;
        }
        handle(event);
    }
    return outcome();
}

Outcome Cluster::outcome() {
    stats_.failure = checker_->failure();
    stats_.evidence = checker_->evidence();
    stats_.simulated_ms = now_ms_;
    stats_.final_height = lowest_height();
    for (const auto& node : nodes_) {
        if (!node.machine) continue;
        const auto standing = node.machine->standing();
        stats_.views = std::max(stats_.views, standing.view.value);
        stats_.epochs = std::max(stats_.epochs, standing.epoch.value);
    }
    for (Epoch e{1}; options_.churn && e.value <= stats_.epochs; ++e) {
        const auto before = checker_->set_of(e - 1), after = checker_->set_of(e);
        if (!before || !after) break;
        const auto changes = changes_between(*before, *after);
        stats_.changes.joined += changes.joined;
        stats_.changes.gone += changes.gone;
        stats_.changes.slashed += changes.slashed;
        stats_.changes.raised += changes.raised;
    }
    return stats_;
}

std::string Cluster::describe() const {
    std::string out;
    for (const auto& node : nodes_) {
        out += "\n  behaviour " + std::to_string(static_cast<int>(node.liar.behaviour));
        if (!node.machine) continue;
        const auto s = node.machine->standing();
        out += " epoch " + std::to_string(s.epoch.value) + " view " + std::to_string(s.view.value) +
               " leader " + std::to_string(s.leader) + " final " +
               std::to_string(s.final_height.value) + " in view " +
               std::to_string(s.final_view.value) + " certified " +
               std::to_string(s.certified_height.value) + " in view " +
               std::to_string(s.certified_view.value);
    }
    return out + "\n ";
}

uint64_t Cluster::lowest_height() const {
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < nodes_.size(); ++i) {
        const bool never_up =
            i + options_.down_always >= nodes_.size() && options_.down_until_ms == 0;
        if (nodes_[i].honest() && !never_up)
            lowest = std::min<uint64_t>(lowest, nodes_[i].finals.size());
    }
    return lowest;
}

bool Cluster::is_done() const {
    return healed_ && now_ms_ >= std::max(options_.down_until_ms, options_.calm_ms) &&
           lowest_height() >= height_goal_;
}

void Cluster::push(uint64_t at_ms, unsigned node,
                   std::variant<cb::Input, WireBytes, Control> what) {
    if (free_.empty()) {
        free_.push_back(events_.size());
        events_.emplace_back();
    }
    const size_t slot = free_.back();
    free_.pop_back();
    events_[slot] = {node, nodes_[node].life, std::move(what)};
    queue_.push({at_ms, order_++, slot});
}

void Cluster::handle(const Event& event) {
    ++stats_.events;
    auto& trace = stats_.trace;
    trace = mix(trace ^ mix(now_ms_) ^ mix(event.node * 64 + event.what.index()));
    if (const auto* what = std::get_if<Control>(&event.what)) return control(*what, event.node);
    auto& node = nodes_[event.node];
    if (!node.machine) return;
    if (const auto* wire = std::get_if<WireBytes>(&event.what)) {
        auto message = cb::decode_message(*wire->bytes);
        if (!message) return checker_->fail("a message of ours does not decode");
        return deliver(event.node, cb::Received{peer_of(wire->from), std::move(*message)});
    }
    const auto& input = std::get<cb::Input>(event.what);
    // Messages outlive a crash of their receiver; timers and verdicts do not.
    const bool is_message = std::holds_alternative<cb::Received>(input);
    if (!is_message && event.life != node.life) return;
    deliver(event.node, input);
}

void Cluster::control(Control what, unsigned node) {
    switch (what) {
        case Control::start:
            return start(node);
        case Control::sync:
            return sync(node);
        case Control::look:
            look_around(node);
            return push(now_ms_ + kLookMs, node, Control::look);
        case Control::restart:
            restart_someone();
            return push(now_ms_ + kRestartMs, 0, Control::restart);
        case Control::split:
            if (healed_) return;
            network_->split();
            return push(now_ms_ + random_.between(100, 3000), 0, Control::join);
        case Control::join:
            network_->join();
            if (!healed_) push(now_ms_ + random_.between(100, 3000), 0, Control::split);
            return;
        case Control::heal:
            break;
    }
    healed_ = true;
    network_->heal();
    uint64_t highest = 0;
    for (const auto& n : nodes_) highest = std::max<uint64_t>(highest, n.finals.size());
    height_goal_ = std::max(height_goal_, highest + options_.heights_healed);
}

void Cluster::deliver(unsigned index, const cb::Input& input) {
    auto& node = nodes_[index];
    if (const auto* received = std::get_if<cb::Received>(&input); received && lies(index))
        transmit(index, node.liar.react(received->message));
    const auto effects = node.machine->step(input);
    const bool dies = faults_.crash && !healed_ && node.honest() && random_.one_in(150);
    const size_t count = dies ? random_.between(0, effects.size()) : effects.size();
    for (size_t i = 0; i < count; ++i) {
        stats_.trace = mix(stats_.trace + effects[i].index());
        apply(index, effects[i]);
    }
    if (dies || std::exchange(node.forgets, false)) crash(index);
}

void Cluster::start(unsigned index) {
    auto& node = nodes_[index];
    if (node.machine) return;
    if (now_ms_ == options_.down_until_ms && index + options_.down_always >= nodes_.size())
        for (const auto& other : nodes_)
            stats_.height_at_return =
                std::max<uint64_t>(stats_.height_at_return, other.finals.size());
    params_.self = keys_.validators[node.liar.owner].consensus_key;
    cb::Recovered recovered{final_point(node), {}};
    for (const auto& record : node.disk) recovered.records.push_back(record.bytes);
    node.machine = std::make_unique<cb::Bft>(params_, *node.sets, std::move(recovered),
                                             node.liar.signer, *keys_.checks);
    deliver(index, cb::Start{});
}

/// Loses what was not durable, perhaps cuts the first lost record in two, and comes back later.
void Cluster::crash(unsigned index) {
    auto& node = nodes_[index];
    ++stats_.crashes;
    ++node.life;
    node.machine.reset();
    node.states.clear();
    node.syncing = false;
    size_t kept = 0;
    for (size_t i = 0; i < node.disk.size(); ++i)
        if (node.disk[i].durable) kept = i + 1;
    if (faults_.torn && kept < node.disk.size()) {
        kept = random_.between(kept, node.disk.size());
        if (kept < node.disk.size() && random_.one_in(2)) {
            auto& cut = node.disk[kept].bytes;
            cut.resize(random_.between(0, cut.size() - 1));
            ++kept;
        }
        node.disk.resize(kept);
    }
    for (auto& record : node.disk) record.durable = true;
    const uint64_t back_ms = now_ms_ + random_.between(1, random_.one_in(4) ? 5000 : 300);
    const uint64_t latest_ms = options_.calm_ms > 0 ? back_ms : std::max(now_ms_, heal_ms_);
    push(std::min(back_ms, latest_ms), index, Control::start);
}

cb::FinalPoint Cluster::final_point(const Node& node) const {
    const auto height = node.finals.size();
    const auto beacon_at = [&](Height h) {
        return h.value == 0 ? genesis_.prev_randao
                            : node.finals[h.value - 1].block->header.prev_randao;
    };
    const auto trail = consensus::BeaconTrail::at(params_.mini_epoch_length, {height}, beacon_at);
    if (height == 0) return {genesis_, genesis_hash_, trail, nullptr};
    const auto& last = node.finals.back();
    const bool own = last.certificate->block == last.block->hash;
    return {last.block->header, last.block->hash, trail, own ? last.certificate : nullptr};
}

std::vector<unsigned> Cluster::others(unsigned node) const {
    std::vector<unsigned> out;
    for (unsigned i = 0; i < nodes_.size(); ++i)
        if (nodes_[i].liar.owner != nodes_[node].liar.owner) out.push_back(i);
    return out;
}

const cb::Peer& Cluster::peer_of(unsigned node) const {
    return keys_.validators[nodes_[node].liar.owner].p2p_key;
}

std::vector<unsigned> Cluster::nodes_of(const cb::Peer& peer) const {
    std::vector<unsigned> out;
    for (unsigned i = 0; i < nodes_.size(); ++i)
        if (peer_of(i) == peer) out.push_back(i);
    return out;
}

consensus::SetPtr NodeSets::of_epoch(Epoch epoch) const {
    return cluster_.set_of(node_, epoch);
}

consensus::SetPtr Cluster::set_of(unsigned index, Epoch epoch) const {
    const auto& node = nodes_[index];
    if (options_.mutation == Mutation::old_set && epoch.value > 0) epoch = epoch - 1;
    if (epoch.value < 2 || !electorate_->churns()) return electorate_->genesis();
    if (options_.mutation == Mutation::own_set) {
        const auto own = node.boundaries.find(epoch - 1);
        if (own != node.boundaries.end()) return electorate_->after(epoch, own->second);
    }
    const uint64_t height = consensus::boundary_of(epoch - 2, params_.epoch_length).value;
    ASSERT(height <= node.finals.size());
    return electorate_->after(epoch, node.finals[height - 1].state);
}

/// Where a node sits in the epoch that it is in.
std::optional<Seat> Cluster::seat_of(unsigned index) const {
    const auto& node = nodes_[index];
    if (!node.machine) return std::nullopt;
    const Epoch epoch = node.machine->standing().epoch;
    const auto set = set_of(index, epoch);
    const auto seat = set->find_address(keys_.validators[node.liar.owner].address);
    if (!seat) return std::nullopt;
    return Seat{epoch, *seat, set};
}

/// Liars follow the rules in some epochs, where the sets change; and where they have no vote.
bool Cluster::lies(unsigned index) {
    auto& liar = nodes_[index].liar;
    if (liar.behaviour == Behaviour::honest) return false;
    const auto seat = seat_of(index);
    if (!seat) return false;
    liar.seat = *seat;
    const bool rests =
        options_.churn && mix(options_.seed ^ mix(seat->epoch.value * 256 + index)) % 3 == 0;
    return !rests;
}

Outcome simulate(const Options& options) {
    return Cluster(options).run();
}

Faults Faults::none() {
    return {false, false, false, false, false, false, false, false};
}

bool parse_faults(std::string_view list, Faults& out) {
    if (list == "all") return out = {}, true;
    out = Faults::none();
    const std::pair<std::string_view, bool*> known[] = {
        {"loss", &out.loss},           {"delay", &out.delay},         {"reorder", &out.reorder},
        {"duplicate", &out.duplicate}, {"partition", &out.partition}, {"crash", &out.crash},
        {"torn", &out.torn},           {"byzantine", &out.byzantine}};
    while (!list.empty() && list != "none") {
        const auto word = list.substr(0, list.find(','));
        list.remove_prefix(std::min(list.size(), word.size() + 1));
        const auto it = std::find_if(std::begin(known), std::end(known),
                                     [&](const auto& entry) { return entry.first == word; });
        if (it == std::end(known)) return false;
        *it->second = true;
    }
    return true;
}

}  // namespace trainyard::sim
