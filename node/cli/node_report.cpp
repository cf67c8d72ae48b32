// SPDX-License-Identifier: Apache-2.0
// The words and the list of metrics; docs/validator.md explains what to watch.
#include "node/cli/node_report.hpp"

#include <filesystem>

#include "node/cli/version.hpp"
#include "node/wallet/market.hpp"
#include "rpc/contract_view.hpp"

namespace trainyard::node::cli {
namespace {

namespace cb = consensus::bft;
using metrics::Family;
using metrics::Kind;
using metrics::Metrics;

constexpr size_t kNamesMax = 5;
constexpr uint64_t kGweiPerCoin = 1'000'000'000;

std::string name_of(cb::Cause cause) {
    switch (cause) {
        case cb::Cause::no_proposal:
            return "no_proposal";
        case cb::Cause::too_slow:
            return "too_slow";
        case cb::Cause::bad_proposal:
            return "bad_proposal";
        case cb::Cause::bad_block:
            return "bad_block";
        case cb::Cause::leader_quit:
            return "leader_quit";
        case cb::Cause::cannot_build:
            return "cannot_build";
    }
    return "unknown";
}

std::string votes_missing(const cb::Waiting& waiting, const consensus::ValidatorSet& validators) {
    std::string out = std::to_string(waiting.weight_gwei / kGweiPerCoin) + " of the " +
                      std::to_string(waiting.quorum_gwei / kGweiPerCoin) +
                      " coins of stake it takes";
    for (size_t i = 0; i < waiting.missing.size() && i < kNamesMax; ++i)
        out += (i == 0 ? ", missing " : ", ") +
               to_hex0x(validators.at(waiting.missing[i]).address.bytes);
    if (waiting.missing.size() > kNamesMax)
        out += " and " + std::to_string(waiting.missing.size() - kNamesMax) + " more";
    return out;
}

void add_consensus(Metrics& out, const cb::Standing& at, const bft::BftCounters& c) {
    const auto number = [](uint64_t n) { return static_cast<double>(n); };
    out.gauge("trainyard_consensus_epoch", "Current epoch.", number(at.epoch.value));
    out.gauge("trainyard_consensus_view", "Current view, counted from 1 in each epoch.",
              number(at.view.value));
    out.gauge("trainyard_consensus_validators", "Validators of the current epoch.",
              static_cast<double>(at.set_size));
    out.gauge("trainyard_consensus_own_weight",
              "Own share of the current epoch's stake, 0 to 1; 0: this node follows.",
              at.total_gwei == 0 ? 0 : number(at.own_gwei) / number(at.total_gwei));
    out.gauge("trainyard_consensus_certified_height", "Height of the latest certified block.",
              number(at.certified_height.value));
    out.gauge("trainyard_consensus_final_height", "Height of the last final block.",
              number(at.final_height.value));
    out.counter("trainyard_consensus_blocks_certified_total", "Blocks certified here.",
                number(c.certified));
    out.counter("trainyard_consensus_blocks_final_total", "Blocks that became final here.",
                number(c.finalised));
    out.counter("trainyard_consensus_proposals_total", "Blocks built as a leader.",
                number(c.proposed));
    out.counter("trainyard_consensus_offences_total", "Broken voting rules of validators, proven.",
                number(c.offences));
    out.counter(
        "trainyard_consensus_inputs_dropped_total",
        "Inputs that came while no vote machine ran, and questions that found the queue full.",
        number(c.dropped));
    out.gauge("trainyard_consensus_inputs_waiting", "Inputs in the vote machine's queue.",
              number(c.waiting));
    Family causes{
        "trainyard_consensus_nullify_total", "Own NULLIFY votes by cause.", Kind::counter, {}};
    for (size_t i = 0; i < c.gave_up.size(); ++i)
        causes.samples.push_back(
            {{{"cause", name_of(static_cast<cb::Cause>(i))}}, number(c.gave_up[i])});
    out.families.push_back(std::move(causes));
    out.durations.push_back({"trainyard_consensus_vote_fsync_seconds",
                             "Time until a vote is on disk, before it leaves.", c.fsync});
    out.durations.push_back({"trainyard_consensus_execution_seconds",
                             "Time of executing a block, with its state root.", c.execution});
    out.durations.push_back({"trainyard_consensus_finality_seconds",
                             "Time from having a block to knowing it final.", c.finality});
}

void add_network(Metrics& out, const p2p::Network& network) {
    double inbound = 0, outbound = 0, carried = 0, away = 0;
    double sent = 0, received = 0, dropped = 0;
    std::array<double, p2p::kLanes> queued{};
    Family round_trip{
        "trainyard_p2p_round_trip_seconds", "Last ping of a connected peer.", Kind::gauge, {}};
    for (const auto& peer : network.peers()) {
        sent += static_cast<double>(peer.bytes_sent);
        received += static_cast<double>(peer.bytes_received);
        dropped += static_cast<double>(peer.messages_dropped);
        if (!peer.is_connected) {
            ++away;
            continue;
        }
        if (peer.sentry) {
            ++carried;
            continue;
        }
        ++(peer.is_inbound ? inbound : outbound);
        for (size_t lane = 0; lane < p2p::kLanes; ++lane)
            queued[lane] += static_cast<double>(peer.queued_bytes[lane]);
        round_trip.samples.push_back(
            {{{"peer", p2p::short_name(peer.id)}}, static_cast<double>(peer.round_trip_ms) / 1000});
    }
    out.families.push_back({"trainyard_p2p_peers",
                            "Peers by connection.",
                            Kind::gauge,
                            {{{{"state", "inbound"}}, inbound},
                             {{{"state", "outbound"}}, outbound},
                             {{{"state", "carried"}}, carried},
                             {{{"state", "away"}}, away}}});
    out.families.push_back(std::move(round_trip));
    out.gauge("trainyard_p2p_sent_bytes", "Bytes sent over the present connections.", sent);
    out.gauge("trainyard_p2p_received_bytes", "Bytes received over the present connections.",
              received);
    out.gauge("trainyard_p2p_dropped_messages",
              "Messages that full queues dropped on the present connections.", dropped);
    Family waiting{"trainyard_p2p_queued_bytes",
                   "Bytes that wait to be sent over the present connections, by lane.",
                   Kind::gauge,
                   {}};
    for (size_t lane = 0; lane < p2p::kLanes; ++lane)
        waiting.samples.push_back({{{"lane", std::string(p2p::kLaneNames[lane])}}, queued[lane]});
    out.families.push_back(std::move(waiting));
    const auto book = network.book_counts();
    out.families.push_back({"trainyard_p2p_addresses",
                            "Addresses in the book: heard of, and found to answer.",
                            Kind::gauge,
                            {{{{"table", "heard"}}, static_cast<double>(book.heard)},
                             {{{"table", "tried"}}, static_cast<double>(book.tried)}}});
    out.gauge("trainyard_p2p_banned_peers", "Peers that are refused now.",
              static_cast<double>(network.bans().size()));
    if (const auto ahead_ms = network.clock_ahead_ms())
        out.gauge("trainyard_clock_ahead_seconds",
                  "By how much the clocks of at least three peers are ahead of ours: their median.",
                  static_cast<double>(*ahead_ms) / 1000);
}

void add_stake(Metrics& out, const wallet::Candidate& stake) {
    out.gauge("trainyard_staking_turns_led", "Own turns as leader in this epoch so far.",
              stake.led);
    out.gauge("trainyard_staking_turns_missed", "Of these, without a block.", stake.missed);
    out.gauge("trainyard_staking_jailed", "1 while the validator is jailed or tombstoned.",
              stake.jailed_until != 0 || stake.tombstoned ? 1 : 0);
    out.gauge("trainyard_staking_weight_coins", "Own weight in the next election, before the cap.",
              static_cast<double>(stake.weight_gwei) / kGweiPerCoin);
}

void add_audits(Metrics& out, const verify::AuditService& audits) {
    const auto status = audits.status();
    const auto number = [](uint64_t n) { return static_cast<double>(n); };
    out.counter("trainyard_audits_drawn_total", "Seats of auditors that this node was drawn for.",
                number(status.audits.drawn));
    out.counter("trainyard_audits_answered_total", "Audits that were judged.",
                number(status.audits.answered));
    out.counter("trainyard_audits_mismatches_total", "Of these, not what the provider claims.",
                number(status.audits.mismatches));
    out.counter("trainyard_audits_late_total",
                "Audits whose time was over before they could be judged.",
                number(status.audits.late));
    out.gauge("trainyard_audits_waiting", "Audits that wait to be judged.",
              number(status.audits.waiting));
    out.counter("trainyard_disputes_opened_total",
                "Disputes that this node opened about segments that it had convicted.",
                number(status.audits.disputes));
    out.counter("trainyard_dispute_moves_total", "Moves of this node in disputes.",
                number(status.audits.dispute_moves));
    out.counter("trainyard_verifier_starts_total", "Starts of the verifier process.",
                number(status.verifier_starts));
    out.counter("trainyard_verifier_deaths_total", "Ends of the verifier process by itself.",
                number(status.verifier_deaths));
    out.counter("trainyard_verifier_timeouts_total", "Audits that took too long.",
                number(status.verifier_timeouts));
    out.counter("trainyard_verifier_device_faults_total", "Failures of the verifier's GPU.",
                number(status.verifier_device_faults));
    out.counter("trainyard_verifier_out_of_memory_total",
                "Requests that needed more than the verifier's memory limit.",
                number(status.verifier_out_of_memory));
    out.gauge("trainyard_verifier_without_cuda",
              "1 while the verifier does without CUDA because it failed.",
              status.verifier_without_cuda ? 1 : 0);
    if (status.confined)
        out.gauge("trainyard_verifier_confined",
                  "1 where files and calls are out of a verifier process's reach.",
                  status.confined->is_whole() ? 1 : 0);
    out.counter("trainyard_sender_raised_total",
                "Transactions of audits that were signed again with higher fees.",
                number(status.sending.raised));
    out.gauge("trainyard_sender_stuck",
              "1 while gas costs more than fee-max-gwei and a transaction waits.",
              status.sending.is_stuck ? 1 : 0);
}

void add_machine(Metrics& out, const ReportParts& parts) {
    std::error_code failed;
    const auto space = std::filesystem::space(parts.datadir, failed);
    if (!failed)
        out.gauge("trainyard_disk_free_bytes", "Free space where the data folder is.",
                  static_cast<double>(space.available));
    out.gauge("trainyard_blobs_used_bytes", "Bytes of all blobs kept.",
              static_cast<double>(parts.blobs.used_bytes()));
    out.gauge("trainyard_blobs_kept_bytes", "Bytes of blobs that do not make room for others.",
              static_cast<double>(parts.blobs.kept_bytes()));
    out.counter("trainyard_mempool_gossip_dropped_total",
                "Transactions of peers that found the queue, or their part of it, full.",
                static_cast<double>(parts.gossip_dropped));
    out.gauge("trainyard_http_connections", "Open connections of JSON-RPC and the page.",
              static_cast<double>(parts.http_connections));
    out.families.push_back(
        {"trainyard_http_refused_total",
         "Connections and requests refused: of a client that has its share, or all are in use.",
         Kind::counter,
         {{{{"why", "client"}}, static_cast<double>(parts.http_refused.of_clients)},
          {{{"why", "full"}}, static_cast<double>(parts.http_refused.full)}}});
    const auto counts = parts.pool.counts();
    out.families.push_back({"trainyard_mempool_transactions",
                            "Transactions in the pool.",
                            Kind::gauge,
                            {{{{"state", "pending"}}, static_cast<double>(counts.pending)},
                             {{{"state", "queued"}}, static_cast<double>(counts.queued)}}});
    const auto store = parts.chain.store_status();
    out.gauge("trainyard_store_dirty_bytes", "Trie nodes of final states that are in memory alone.",
              static_cast<double>(store.dirty.bytes));
    out.gauge("trainyard_store_first_state", "Oldest block whose state is kept.",
              static_cast<double>(store.kept.first_state));
    out.gauge("trainyard_store_first_block", "Oldest block whose body is kept, but for genesis.",
              static_cast<double>(store.kept.first_block));
    const double age_s = static_cast<double>(parts.wall_ms) / 1000 -
                         static_cast<double>(parts.chain.latest()->block.header.timestamp);
    out.gauge("trainyard_chain_head_age_seconds",
              "This machine's clock minus the latest block's time.", age_s);
    out.gauge("trainyard_uptime_seconds", "Since the node started.",
              static_cast<double>(parts.uptime_ms) / 1000);
    out.families.push_back({"trainyard_info",
                            "The program that runs.",
                            Kind::gauge,
                            {{{{"version", std::string(kVersion)}}, 1}}});
}

}  // namespace

std::string words_of(const cb::Waiting& waiting, const cb::Standing& standing,
                     const consensus::ValidatorSet& validators) {
    const std::string view = "view " + std::to_string(standing.view.value) + " of epoch " +
                             std::to_string(standing.epoch.value);
    switch (waiting.need) {
        case cb::Need::proposal:
            return "the proposal of " + view + " by its leader " +
                   to_hex0x(validators.at(standing.leader).address.bytes);
        case cb::Need::own_block:
            return "the block that this node builds as leader of " + view;
        case cb::Need::ancestors:
            return "blocks or certificates before the proposal of " + view;
        case cb::Need::notarizes:
            return "votes for the block of " + view + ": " + votes_missing(waiting, validators);
        case cb::Need::block:
            return "the body of the block notarized in " + view;
        case cb::Need::execution:
            return "the execution of the block notarized in " + view;
        case cb::Need::nullifies:
            return "votes to give up " + view + ": " + votes_missing(waiting, validators);
        case cb::Need::finalizes:
            return "votes that make the last block of epoch " +
                   std::to_string(standing.epoch.value) +
                   " final: " + votes_missing(waiting, validators);
        case cb::Need::final_blocks:
            return "final blocks that other nodes have";
    }
    return "";
}

std::string one_line(const rpc::NodeStatus& status, uint64_t final_height, size_t peers) {
    const std::string where = "block " + std::to_string(final_height) + " final, " +
                              std::to_string(peers) + (peers == 1 ? " peer, " : " peers, ") +
                              status.role;
    if (!status.halted.empty()) return "stands still: " + status.halted + "; " + where;
    if (!status.why_not_voting.empty()) return where + ", does not vote: " + status.why_not_voting;
    return where;
}

std::optional<wallet::Candidate> stake_of(const rpc::Backend& backend, const Address& who) {
    const auto latest = backend.block(rpc::Tag::latest);
    if (!latest) return std::nullopt;
    rpc::CallRequest request;
    request.to = wallet::kStaking;
    request.data = wallet::candidate_call(who);
    const auto outcome = backend.call(latest->hash, request, {});
    return outcome ? wallet::candidate_from(who, outcome->output) : std::nullopt;
}

std::optional<AuditQueue> audit_queue_of(const rpc::Backend& backend) {
    const auto latest = backend.block(rpc::Tag::latest);
    if (!latest) return std::nullopt;
    const auto answer =
        rpc::call_view(backend, latest->hash, rpc::kComputeMarket, "auditQueue()", {});
    if (!answer || answer->size() != 64) return std::nullopt;
    const BytesView words(*answer);
    return AuditQueue{from_be(words.first(32)).low(), from_be(words.subspan(32)).low()};
}

void add_queue(Metrics& to, const AuditQueue& queue) {
    to.families.push_back({"trainyard_audit_queue_blocks",
                           "Blocks until all auditors of the chain have room, by what for.",
                           Kind::gauge,
                           {{{{"what", "audits"}}, static_cast<double>(queue.audits)},
                            {{{"what", "replays"}}, static_cast<double>(queue.replays)}}});
}

Metrics metrics_of(const ReportParts& parts) {
    Metrics out;
    add_consensus(out, parts.bft.standing(), parts.bft.counters());
    add_network(out, parts.network);
    if (parts.audits) add_audits(out, *parts.audits);
    if (parts.voting) parts.voting->add_metrics(out);
    if (parts.reporter)
        out.counter("trainyard_staking_slashes_total", "Validators slashed by own reports.",
                    static_cast<double>(parts.reporter->slashed()));
    add_state_metrics(out, parts.shelf, parts.state_sync, parts.wall_ms);
    if (parts.queue) add_queue(out, *parts.queue);
    if (parts.stake && parts.stake->known) add_stake(out, *parts.stake);
    add_machine(out, parts);
    return out;
}

}  // namespace trainyard::node::cli
