// SPDX-License-Identifier: Apache-2.0
// The transaction of an account that is on its way, kept until it is known what became of it.
#pragma once

#include <string>
#include <vector>

#include "core/tx.hpp"
#include "node/wallet/error.hpp"

namespace trainyard::node::wallet {

/// All versions that were signed of one transaction: one nonce, one payload, rising fees. At most
/// one of them can ever count.
class Outbox {
public:
    /// `path` empty: it lasts as long as the process.
    explicit Outbox(std::string path) : path_(std::move(path)) {}

    /// What an earlier process left of this account on this chain; anything else is no concern.
    void load(const Hash& genesis, const Address& who);
    /// Durable on return; the caller sends it afterwards. Error: io, and it is not to be sent.
    [[nodiscard]] Result<Done, WalletError> add(const Tx& version);
    /// The newest version was refused by the node: it is nowhere.
    void drop_newest();
    void clear();

    [[nodiscard]] bool empty() const { return versions_.empty(); }
    [[nodiscard]] const Tx& newest() const { return versions_.back(); }
    [[nodiscard]] const std::vector<Tx>& versions() const { return versions_; }

private:
    [[nodiscard]] Result<Done, WalletError> write() const;

    std::string path_;
    Hash genesis_;
    std::vector<Tx> versions_;  ///< oldest first
};

}  // namespace trainyard::node::wallet
