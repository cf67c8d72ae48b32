// SPDX-License-Identifier: Apache-2.0
// Executing the transactions of a block at once and getting what one after the other gives.
#pragma once

#include <functional>
#include <vector>

#include "consensus/transition/context.hpp"
#include "consensus/transition/transaction.hpp"
#include "consensus/transition/world.hpp"
#include "core/tx.hpp"

namespace trainyard::consensus {

/// Called for each transaction in order, on one thread at a time, when its outcome is final and
/// those of all before it are taken over. False ends the execution.
using OnCommit =
    std::function<bool(size_t index, const Address& sender, Result<TxOutcome, TxInvalid> outcome)>;

/// Runs `txs` on the state of `world` and takes their effects over into it, in order. The outcome
/// of every transaction is that of serial execution, whatever the threads do.
///
/// Each transaction runs in a world of its own over what those before it have written so far, and
/// every value that it read from there is kept. A value that turns out to be another one sends it
/// back; so does, before it becomes final, a comparison of all that it read. The beneficiary's tips
/// are left out of this: whoever looks at the beneficiary waits until all before it are final.
/// `view`: what `world` stands on, read by all threads at once.
/// Source: arXiv 2203.06871 (Block-STM). Deviations: one lock instead of counters, and values are
/// compared instead of versions.
void run_parallel(const state::StateView& view, World& world, const ExecutionContext& context,
                  const std::vector<Tx>& txs, Executor& executor, const OnCommit& on_commit);

}  // namespace trainyard::consensus
