// SPDX-License-Identifier: Apache-2.0
// How the simulated cluster carries out the machine's effects.
#include <algorithm>

#include "core/assert.hpp"
#include "tests/sim/cluster.hpp"

namespace trainyard::sim {
namespace cb = consensus::bft;
namespace {

constexpr uint64_t kLagBlocks = 3, kLagMs = 3000;  ///< as node/sync does

}  // namespace

void Cluster::apply(unsigned node, const cb::Effect& effect) {
    std::visit([&](const auto& e) { on(node, e); }, effect);
}

/// Runs that send bytes also look whether every record decodes.
void Cluster::on(unsigned index, const cb::Persist& e) {
    auto& node = nodes_[index];
    if (wire_ || e.record.size() <= cb::kVoteSizeMax) {
        const auto record = cb::decode_message(e.record);
        if (!record) return checker_->fail("a record of ours does not decode");
        if (const auto* vote = std::get_if<cb::Vote>(&*record); vote && node.honest()) {
            checker_->on_intent(*vote);
            node.forgets = options_.mutation == Mutation::forget_nullify && !healed_ &&
                           vote->kind == cb::VoteKind::nullify;
            if (node.forgets) return;
        }
    }
    auto& disk = node.disk;
    disk.push_back({e.epoch, e.view, e.record, false});
    if (!e.sync || options_.mutation == Mutation::send_before_sync) return;
    for (auto it = disk.rbegin(); it != disk.rend() && !it->durable; ++it) it->durable = true;
}

void Cluster::on(unsigned index, const cb::Forget& e) {
    auto& disk = nodes_[index].disk;
    const auto is_old = [&](const DiskRecord& record) {
        return std::pair(record.epoch, record.view) < std::pair(e.epoch, e.below);
    };
    disk.erase(std::remove_if(disk.begin(), disk.end(), is_old), disk.end());
}

void Cluster::on(unsigned index, const cb::Send& e) {
    send(index, nodes_of(e.to), e.message);
}

void Cluster::on(unsigned index, const cb::Broadcast& e) {
    auto to = others(index);
    if (e.followers_only)
        std::erase_if(to, [this](unsigned node) { return seat_of(node).has_value(); });
    send(index, to, e.message);
}

void Cluster::send(unsigned index, const std::vector<unsigned>& to, const cb::Message& message) {
    const auto& node = nodes_[index];
    if (lies(index)) return transmit(index, node.liar.speak(to, message, random_));
    if (node.honest()) record_votes(message);
    if (std::holds_alternative<cb::Shards>(message)) ++stats_.shard_messages;
    const auto bytes = in_bytes(message);
    for (const unsigned receiver : to) transmit(index, receiver, message, bytes);
}

/// The wire form, made once for all receivers; null where the run sends values.
std::shared_ptr<const Bytes> Cluster::in_bytes(const cb::Message& message) const {
    return wire_ ? std::make_shared<const Bytes>(cb::encode_message(message)) : nullptr;
}

void Cluster::record_votes(const cb::Message& message) {
    if (const auto* vote = std::get_if<cb::Vote>(&message)) checker_->on_vote(*vote);
    if (const auto* again = std::get_if<cb::Repropose>(&message)) {
        ++stats_.reproposals;
        checker_->on_vote(again->vote);
    }
    if (const auto* part = std::get_if<cb::Scatter>(&message)) {
        const auto seal = cb::decode_seal(part->header.extra_data);
        checker_->on_vote({cb::VoteKind::notarize, seal->epoch, seal->view,
                           hash_header(part->header), part->leader, part->signature});
    }
    const auto* proposal = std::get_if<cb::Propose>(&message);
    if (!proposal) return;
    const auto seal = cb::decode_seal(proposal->block->header.extra_data);
    checker_->on_vote({cb::VoteKind::notarize, seal->epoch, seal->view, proposal->block->hash,
                       proposal->leader, proposal->signature});
}

/// With twins, the groups of the view that a message belongs to; else never.
bool Cluster::are_apart(unsigned from, unsigned to, const cb::Message& message) const {
    const auto& groups = options_.twins.groups;
    if (healed_ || groups.empty()) return false;
    View view = nodes_[from].machine ? nodes_[from].machine->standing().view : View{1};
    if (const auto* vote = std::get_if<cb::Vote>(&message)) view = vote->view;
    if (const auto* cert = std::get_if<cb::Cert>(&message)) view = cert->certificate->view;
    if (const auto* proposal = std::get_if<cb::Propose>(&message))
        view = cb::decode_seal(proposal->block->header.extra_data)->view;
    if (const auto* part = std::get_if<cb::Scatter>(&message))
        view = cb::decode_seal(part->header.extra_data)->view;
    if (const auto* shards = std::get_if<cb::Shards>(&message)) view = shards->view;
    if (view.value > groups.size()) return false;
    const uint32_t group = groups[view.value - 1];
    return (group >> from & 1) != (group >> to & 1);
}

void Cluster::transmit(unsigned from, const Outgoing& out) {
    for (const auto& [to, message] : out) transmit(from, to, message, in_bytes(message));
}

void Cluster::transmit(unsigned from, unsigned to, const cb::Message& message,
                       const std::shared_ptr<const Bytes>& bytes) {
    if (are_apart(from, to, message)) return;
    for (const uint64_t at_ms : network_->arrivals(from, to, now_ms_)) {
        if (bytes)
            push(at_ms, to, WireBytes{from, bytes});
        else
            push(at_ms, to, cb::Input(cb::Received{peer_of(from), message}));
    }
}

void Cluster::on(unsigned index, const cb::SetTimer& e) {
    push(now_ms_ + e.after_ms, index, cb::Input(cb::Timeout{e.id}));
}

void Cluster::on(unsigned index, const cb::Build& e) {
    auto& node = nodes_[index];
    const uint64_t at_ms = now_ms_ + random_.between(0, 30);
    const Hash* parent_state = state_of(node, e.parent_hash);
    if (!parent_state) return checker_->fail("asked to build on a block that was not executed");
    if (random_.percent(1))
        return push(at_ms, index,
                    cb::Input(cb::BuiltBlock{e.epoch, e.view, e.parent_hash, nullptr}));
    Bytes body(random_.between(0, 40), 0);
    for (auto& byte : body) byte = static_cast<uint8_t>(random_.next());
    Header header;
    header.parent_hash = e.parent_hash;
    header.number = e.parent.number + 1;
    header.timestamp = now_ms_ / 1000;
    header.timestamp = std::max(header.timestamp, e.parent.timestamp);
    header.transactions_root = body_root(body);
    header.state_root = state_after(*parent_state, body);
    header.extra_data = e.extra_data;
    header.prev_randao = e.prev_randao;
    const auto block = cb::make_block(std::move(header), std::move(body));
    node.states[block->hash] = block->header.state_root;
    push(at_ms, index, cb::Input(cb::BuiltBlock{e.epoch, e.view, e.parent_hash, block}));
}

const Hash* Cluster::state_of(const Node& node, const Hash& block) const {
    if (block == genesis_hash_) return &genesis_.state_root;
    if (!node.finals.empty() && node.finals.back().block->hash == block)
        return &node.finals.back().state;
    const auto it = node.states.find(block);
    return it == node.states.end() ? nullptr : &it->second;
}

void Cluster::on(unsigned index, const cb::Execute& e) {
    auto& node = nodes_[index];
    const auto& header = e.block->header;
    const Hash* parent_state = state_of(node, header.parent_hash);
    if (!parent_state) return checker_->fail("asked to execute before the parent");
    const bool is_blind =
        options_.mutation == Mutation::certify_unexecuted && index % 2 == 1 && node.honest();
    const Hash state = is_blind ? header.state_root : state_after(*parent_state, e.block->body);
    auto verdict = state == header.state_root ? cb::Verdict::valid : cb::Verdict::invalid;
    if (random_.percent(1)) verdict = cb::Verdict::unavailable;
    if (verdict == cb::Verdict::valid) node.states[e.block->hash] = state;
    push(now_ms_ + random_.between(1, params_.execute_ms), index,
         cb::Input(cb::BlockVerdict{e.block->hash, verdict}));
}

void Cluster::on(unsigned index, const cb::Certified& e) {
    auto& node = nodes_[index];
    const Height height{e.block->header.number};
    const Epoch epoch = consensus::epoch_of(height, params_.epoch_length);
    if (height != consensus::boundary_of(epoch, params_.epoch_length)) return;
    const Hash* state = state_of(node, e.block->hash);
    if (!state) return checker_->fail("certified before it was executed");
    node.boundaries.emplace(epoch, *state);
    if (options_.mutation == Mutation::start_early) start_early(index, e);
}

/// Takes a boundary for final that is only certified, and goes on in the next epoch.
void Cluster::start_early(unsigned index, const cb::Certified& boundary) {
    auto& node = nodes_[index];
    const Hash& root = node.finals.empty() ? genesis_hash_ : node.finals.back().block->hash;
    std::vector<cb::BlockPtr> path;
    for (auto at = boundary.block; at; at = node.machine->find_block(at->header.parent_hash)) {
        path.push_back(at);
        if (at->header.parent_hash == root) break;
    }
    if (path.back()->header.parent_hash != root) return;
    for (auto it = path.rbegin(); it != path.rend(); ++it)
        make_final(index, {*it, *state_of(node, (*it)->hash), boundary.notarization}, false);
    push(now_ms_, index, cb::Input(cb::Synced{final_point(node)}));
}

void Cluster::on(unsigned index, const cb::Finalized& e) {
    auto& node = nodes_[index];
    if (e.block->header.number <= node.finals.size()) return;  // stored before a crash
    const Hash* state = state_of(node, e.block->hash);
    if (!state) return checker_->fail("final before it was executed");
    make_final(index, {e.block, *state, e.certificate}, true);
}

void Cluster::make_final(unsigned index, const FinalEntry& entry, bool proven) {
    auto& node = nodes_[index];
    if (node.honest())
        checker_->on_final(index, *entry.block, entry.state,
                           proven ? entry.certificate.get() : nullptr);
    node.finals.push_back(entry);
    if (node.finals.size() <= highest_) return;
    highest_ = node.finals.size();
    const uint64_t gap_ms = now_ms_ - std::exchange(last_final_ms_, now_ms_);
    stats_.gap_ms = std::max(stats_.gap_ms, gap_ms);
    if (gap_ms > kStallMs) ++stats_.stalls;
}

void Cluster::on(unsigned index, const cb::ServeBlock& e) {
    const auto& finals = nodes_[index].finals;
    for (auto it = finals.rbegin(); it != finals.rend(); ++it)
        if (it->block->hash == e.hash)
            return send(index, nodes_of(e.to), cb::BlockMessage{it->block});
}

void Cluster::on(unsigned index, const cb::ServeBoundary& e) {
    const auto& finals = nodes_[index].finals;
    const uint64_t height = consensus::boundary_of(e.epoch, params_.epoch_length).value;
    if (height <= finals.size())
        send(index, nodes_of(e.to), cb::Cert{finals[height - 1].certificate});
}

/// As block sync does: what others have is fetched where this node lags, for a while or by much.
void Cluster::look_around(unsigned index) {
    auto& node = nodes_[index];
    if (!node.machine || seat_of(index)) return;  // validators have to get on by themselves
    uint64_t best = 0;
    for (const auto& other : nodes_)
        if (other.honest()) best = std::max<uint64_t>(best, other.finals.size());
    if (best <= node.finals.size()) return void(node.behind_since_ms = 0);
    if (node.behind_since_ms == 0) node.behind_since_ms = now_ms_;
    const bool lags = best - node.finals.size() >= kLagBlocks;
    if (!lags && now_ms_ - node.behind_since_ms < kLagMs) return;
    node.behind_since_ms = 0;
    node.syncing = true;
    sync(index);
}

/// In calm runs: one node at a time, which soon comes back from its disk.
void Cluster::restart_someone() {
    const auto index = static_cast<unsigned>(random_.next() % nodes_.size());
    if (nodes_[index].machine) crash(index);
}

void Cluster::on(unsigned index, const cb::Behind&) {
    auto& node = nodes_[index];
    ++stats_.behind;
    if (!std::exchange(node.syncing, true))
        push(now_ms_ + random_.between(10, 500), index, Control::sync);
}

/// Copies final blocks from the honest node that has most, as a sync protocol would.
void Cluster::sync(unsigned index) {
    auto& node = nodes_[index];
    if (!node.machine || !std::exchange(node.syncing, false)) return;
    const auto fewer = [](const Node& a, const Node& b) {
        return std::pair(a.honest(), a.finals.size()) < std::pair(b.honest(), b.finals.size());
    };
    const auto& source = *std::max_element(nodes_.begin(), nodes_.end(), fewer);
    for (size_t h = node.finals.size(); h < source.finals.size(); ++h) {
        const auto entry = source.finals[h];
        make_final(index, entry, options_.mutation != Mutation::start_early);
    }
    deliver(index, cb::Synced{final_point(node)});
}

void Cluster::on(unsigned index, const cb::Misbehaved& e) {
    for (const unsigned other : nodes_of(e.peer))
        if (nodes_[index].honest() && nodes_[other].honest())
            checker_->fail("node " + std::to_string(index) + " blames honest node " +
                           std::to_string(other));
}

void Cluster::on(unsigned, const cb::Evidence& e) {
    checker_->on_evidence(e);
}

void Cluster::on(unsigned, const cb::GaveUp& e) {
    if (e.cause == cb::Cause::no_proposal) ++stats_.no_proposals;
    if (e.cause == cb::Cause::bad_proposal) ++stats_.bad_proposals;
    if (e.cause == cb::Cause::bad_block) ++stats_.bad_blocks;
}

void Cluster::on(unsigned index, const cb::Diverged&) {
    if (nodes_[index].honest())
        checker_->fail("node " + std::to_string(index) + " calls a final block invalid");
}

}  // namespace trainyard::sim
