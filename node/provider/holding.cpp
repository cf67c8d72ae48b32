// SPDX-License-Identifier: Apache-2.0
// One key, one provider: the registry names the place that holds an account, and whoever reads
// another one's name there stops.
#include "node/provider/work.hpp"

namespace trainyard::node::provider {
namespace {

constexpr int kLooksMin = 3;  ///< of as many blocks: a node may lag behind another

}  // namespace

/// True if this process may act for the account. Asked once a block.
bool ProviderWorker::holds_key() {
    if (!why_ended_.empty()) return false;
    if (held_at_ == head_) return holds_;
    const auto record = market_.provider(market_.self());
    if (!record) return holds_;
    held_at_ = head_;
    const bool is_anothers = record->registered && record->endpoint != options_.place;
    if (is_anothers && (record->endpoint.empty() || options_.takes_over)) return claim_key();
    holds_ = holds_ || !is_anothers;
    strange_looks_ = is_anothers ? strange_looks_ + 1 : 0;
    if (strange_looks_ == kLooksMin) end_for_another();
    return holds_ && why_ended_.empty();
}

/// Whoever holds it until now reads that and stops.
bool ProviderWorker::claim_key() {
    const auto sent = market_.register_provider(options_.name, options_.place, {});
    if (!sent) {
        note("cannot tell the registry that this is where " + to_hex0x(market_.self().bytes) +
             " trains: " + sent.error().text);
        return holds_;
    }
    if (options_.takes_over)
        note("took the key over: a provider that runs with it elsewhere stops");
    options_.takes_over = false;
    return holds_ = true;
}

void ProviderWorker::end_for_another() {
    why_ended_ =
        "the key of " + to_hex0x(market_.self().bytes) + " is another provider's, with another " +
        "--datadir or on another machine" + (holds_ ? ", which has taken it over" : "") +
        ": two with one key send each other's transactions amiss and give back or lose each " +
        "other's jobs. Let one of them run: " +
        (holds_ ? "the other one goes on with what this one has begun"
                : "if that one is gone for good, start this one with --take-over; else give it a "
                  "--key of its own");
    if (work_) work_->trainer->stop();
}

}  // namespace trainyard::node::provider
