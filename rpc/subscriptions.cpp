// SPDX-License-Identifier: Apache-2.0
// Pushes to subscribers.
#include "rpc/subscriptions.hpp"

#include <utility>

#include "core/hash.hpp"

namespace trainyard::rpc {

std::optional<std::string> Subscriptions::add(const std::shared_ptr<Session>& session, Topic topic,
                                              LogFilter filter) {
    auto& count = counts_[session.get()];
    LogMatcher criteria(std::move(filter));
    const uint64_t bytes = criteria_bytes_ + criteria.size_bytes();
    const bool is_full = count >= options_.subscriptions_per_session_max ||
                         subscriptions_.size() >= options_.subscriptions_max;
    if (is_full || bytes > options_.filters_bytes_max) return std::nullopt;
    criteria_bytes_ = bytes;
    ++count;
    Bytes seed(options_.id_seed.begin(), options_.id_seed.end());
    append(seed, as_bytes("subscription"));
    append_le(seed, next_id_++);
    const Hash hash = keccak256(seed);
    std::string id = to_hex0x(BytesView(hash.bytes).first(16));
    subscriptions_.emplace(id,
                           Subscription{session, session.get(), topic, std::move(criteria), false});
    return id;
}

bool Subscriptions::remove(const Session& session, const std::string& id) {
    const auto found = subscriptions_.find(id);
    if (found == subscriptions_.end() || found->second.key != &session) return false;
    criteria_bytes_ -= found->second.filter.size_bytes();
    subscriptions_.erase(found);
    --counts_[&session];
    return true;
}

void Subscriptions::close(const Session& session) {
    std::erase_if(subscriptions_, [&](const auto& s) {
        if (s.second.key != &session) return false;
        criteria_bytes_ -= s.second.filter.size_bytes();
        return true;
    });
    counts_.erase(&session);
}

void Subscriptions::activate(const Session& session) {
    if (counts_.find(&session) == counts_.end()) return;
    for (auto& [id, s] : subscriptions_)
        if (s.key == &session) s.active = true;
}

void Subscriptions::on_block(WrittenLogs& logs) {
    const FullBlock& block = logs.block();
    std::string header;
    JsonWriter header_writer(header);
    write_header(header_writer, block.hash, block.block.header);
    for (const auto& [id, s] : subscriptions_) {
        if (s.topic == Topic::heads && !logs.removed()) push(id, s, header);
        if (s.topic != Topic::logs) continue;
        for_each_match(s.filter, block, [&, &key = id, &to = s](const LogPlace& place) {
            return push(key, to, *logs.at(place));
        });
    }
}

void Subscriptions::on_pending_tx(const PooledTx& tx) {
    std::string hash, full;
    JsonWriter hash_writer(hash), full_writer(full);
    hash_writer.data(tx.hash);
    write_pooled_tx(full_writer, tx);
    for (const auto& [id, s] : subscriptions_) {
        if (s.topic == Topic::pending_txs) push(id, s, hash);
        if (s.topic == Topic::full_pending_txs) push(id, s, full);
    }
}

void Subscriptions::on_syncing(const std::optional<SyncStatus>& status) {
    std::string json;
    JsonWriter out(json);
    if (status) {
        out.begin_object().key("syncing").boolean(true).key("status").begin_object();
        out.key("startingBlock").quantity(status->starting_block);
        out.key("currentBlock").quantity(status->current_block);
        out.key("highestBlock").quantity(status->highest_block).end_object().end_object();
    } else {
        out.boolean(false);
    }
    for (const auto& [id, s] : subscriptions_)
        if (s.topic == Topic::syncing) push(id, s, json);
}

/// False where nobody listens any more.
bool Subscriptions::push(const std::string& id, const Subscription& to, std::string_view result) {
    const auto session = to.session.lock();
    if (!session || !to.active || !session->is_open()) return false;
    auto message = std::make_shared<std::string>();
    JsonWriter out(*message);
    out.begin_object().key("jsonrpc").text("2.0").key("method").text("eth_subscription");
    out.key("params").begin_object().key("subscription").text(id);
    out.key("result").raw(result).end_object().end_object();
    session->push(std::move(message));
    return true;
}

}  // namespace trainyard::rpc
