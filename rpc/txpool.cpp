// SPDX-License-Identifier: Apache-2.0
// txpool_*: what waits for a block.
#include "core/checksum.hpp"
#include "rpc/encode.hpp"
#include "rpc/method.hpp"
#include "rpc/service.hpp"

namespace trainyard::rpc {

namespace {

using BySender = std::map<Address, std::map<uint64_t, PooledTx>>;

void write_queue(JsonWriter& out, const std::map<uint64_t, PooledTx>& queue) {
    out.begin_object();
    for (const auto& [nonce, tx] : queue) {
        out.key(std::to_string(nonce));
        write_pooled_tx(out, tx);
    }
    out.end_object();
}

using WriteQueue = void (*)(JsonWriter& out, const std::map<uint64_t, PooledTx>& queue);

/// False, and incomplete, where it would be longer: the pool takes more than an answer may have.
bool write_senders(JsonWriter& out, const BySender& senders, WriteQueue write, uint64_t size_max) {
    out.begin_object();
    for (const auto& [sender, queue] : senders) {
        out.key(to_checksummed(sender));
        write(out, queue);
        if (out.size() > size_max) return false;
    }
    out.end_object();
    return true;
}

/// All that waits.
Outcome write_pool(Call& call, WriteQueue write) {
    const auto pool = call.backend.pool_content(std::nullopt);
    const uint64_t size_max = call.service.options().response_bytes_max;
    call.out.begin_object().key("pending");
    bool fits = write_senders(call.out, pool.pending, write, size_max);
    call.out.key("queued");
    fits = fits && write_senders(call.out, pool.queued, write, size_max);
    if (!fits) return Unexpected(Error{kResponseTooLarge, "response too large"});
    call.out.end_object();
    return Done{};
}

void write_queue_of(JsonWriter& out, const BySender& senders, const Address& who) {
    const auto found = senders.find(who);
    write_queue(out, found == senders.end() ? std::map<uint64_t, PooledTx>{} : found->second);
}

Outcome status(Call& call) {
    const auto counts = call.backend.pool_status();
    call.out.begin_object().key("pending").quantity(counts.pending);
    call.out.key("queued").quantity(counts.queued).end_object();
    return Done{};
}

Outcome content(Call& call) {
    return write_pool(call, write_queue);
}

/// What a person reads in a console, in geth's words.
std::string to_line(const Tx& tx) {
    return (tx.to ? to_checksummed(*tx.to) : "contract creation") + ": " + to_decimal(tx.value) +
           " wei + " + std::to_string(tx.gas_limit) + " gas \u00d7 " +
           to_decimal(tx.max_fee_per_gas) + " wei";
}

void write_lines(JsonWriter& out, const std::map<uint64_t, PooledTx>& queue) {
    out.begin_object();
    for (const auto& [nonce, tx] : queue) out.key(std::to_string(nonce)).text(to_line(tx.tx));
    out.end_object();
}

Outcome inspect(Call& call) {
    return write_pool(call, write_lines);
}

Outcome content_from(Call& call) {
    const auto& who = call.args.at<Address>(0);
    const auto pool = call.backend.pool_content(who);
    call.out.begin_object().key("pending");
    write_queue_of(call.out, pool.pending, who);
    call.out.key("queued");
    write_queue_of(call.out, pool.queued, who);
    call.out.end_object();
    return Done{};
}

constexpr Method kMethods[] = {
    {"txpool_status", status, {}, Shape::object, false, "how many transactions wait"},
    {"txpool_content", content, {}, Shape::object, false, "all transactions that wait"},
    {"txpool_inspect", inspect, {}, Shape::object, false, "a line for each of them"},
    {"txpool_contentFrom",
     content_from,
     {{{"address", Kind::address, true}}},
     Shape::object,
     false,
     "the waiting transactions of one sender"},
};

}  // namespace

std::span<const Method> txpool_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc
