// SPDX-License-Identifier: Apache-2.0
// Coins that move, shown as the logs of a token: `traceTransfers` of eth_simulateV1. Private to
// this folder.
#pragma once

#include <utility>
#include <vector>

#include "core/block.hpp"
#include "vm/tracer.hpp"

namespace trainyard::consensus {

/// The logs of one transaction after the other, those of transfers among them, in order; a frame
/// that fails leaves none.
class TransferLogs final : public vm::Tracer {
public:
    /// Before each transaction.
    void begin() {
        logs_.clear();
        frames_.clear();
    }
    [[nodiscard]] std::vector<Log> take() { return std::exchange(logs_, {}); }

    void on_enter(const vm::Message& message) override;
    void on_exit(const vm::CallResult& result) override;
    void on_step(const vm::StepView&) override {}
    void on_fault(vm::Status) override {}
    void on_log(const Address& address, BytesView data, std::span<const Hash> topics) override {
        logs_.push_back({address, {topics.begin(), topics.end()}, {data.begin(), data.end()}});
    }
    void on_selfdestruct(const Address& from, const Address& to, const Uint256& amount) override {
        note(from, to, amount);
    }

private:
    void note(const Address& from, const Address& to, const Uint256& amount);

    std::vector<Log> logs_;
    std::vector<size_t> frames_;  ///< how many logs there were when each open frame began
};

}  // namespace trainyard::consensus
