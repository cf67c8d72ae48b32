// SPDX-License-Identifier: Apache-2.0
// Transfers to logs.
#include "consensus/transition/transfer_logs.hpp"

#include "consensus/transition/simulate_blocks.hpp"
#include "core/hash.hpp"

namespace trainyard::consensus {
namespace {

Hash topic_of(const Address& address) {
    Hash topic;
    std::copy(address.begin(), address.end(), topic.begin() + 12);
    return topic;
}

}  // namespace

void TransferLogs::note(const Address& from, const Address& to, const Uint256& amount) {
    if (amount.is_zero()) return;
    static const Hash kTransfer = keccak256(as_bytes("Transfer(address,address,uint256)"));
    const Hash data = to_hash(amount);
    logs_.push_back({kTransferLogAddress,
                     {kTransfer, topic_of(from), topic_of(to)},
                     {data.begin(), data.end()}});
}

void TransferLogs::on_enter(const vm::Message& message) {
    frames_.push_back(logs_.size());
    const bool moves =
        message.kind != vm::CallKind::delegate_call && message.kind != vm::CallKind::call_code;
    if (moves) note(message.sender, message.recipient, message.value);
}

void TransferLogs::on_exit(const vm::CallResult& result) {
    if (result.status != vm::Status::success) logs_.resize(frames_.back());
    frames_.pop_back();
}

}  // namespace trainyard::consensus
