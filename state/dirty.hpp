// SPDX-License-Identifier: Apache-2.0
// The states of final blocks that the tables on disk do not have yet: their diffs and trie nodes,
// block upon block, with one index over all of them.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string_view>
#include <vector>

#include "core/seeded_hasher.hpp"
#include "state/flat_map.hpp"
#include "state/trie.hpp"
#include "state/view.hpp"

namespace trainyard::state {

/// Thread-safe. Blocks come in order, and go in order.
class Dirty {
public:
    struct Layer {
        uint64_t number = 0;
        std::shared_ptr<const StateDiff> diff;
        std::shared_ptr<const StateUpdate> update;
    };

    /// Makes known what the layer has. It takes a while and may run before the block is on disk: no
    /// earlier state sees it. Doing it again is no fault.
    void note(const Layer& layer);
    /// Precondition: it is noted.
    void push(Layer layer);
    /// Forgets blocks up to this one: the tables have their states.
    void drop_to(uint64_t number);

    [[nodiscard]] NodePtr node(const Hash& hash, std::string_view place) const;
    /// As the state after block `at` has it; nullopt: no block here up to `at` changed it.
    [[nodiscard]] std::optional<std::optional<Account>> account(const Address& address,
                                                                uint64_t at) const;
    [[nodiscard]] std::optional<Uint256> storage(const Address& address, const Uint256& slot,
                                                 uint64_t at) const;

    [[nodiscard]] std::vector<Layer> layers() const;
    struct Size {
        size_t blocks = 0, bytes = 0;
    };
    [[nodiscard]] Size size() const;

private:
    /// Around what a node takes beside its bytes, here and in its block.
    static constexpr size_t kNodeBytes = 200;

    using SlotKey = std::pair<Address, Uint256>;
    struct Part {
        mutable std::mutex mutex;
        FlatMap<Hash, NodePtr> nodes;
    };
    template <class T>
    struct Version {
        uint64_t number = 0;
        T value;
    };
    struct AccountNow {
        std::optional<Account> account;
        bool is_cleared = false;  ///< all slots from before the block are gone
    };

    void add_nodes(const NodeMap& nodes);
    void add(uint64_t number, const Address& address, const std::optional<AccountChange>& change,
             const StateUpdate& update);
    void drop(const Layer& layer);

    std::array<Part, 16> parts_;       ///< by part_of
    mutable std::shared_mutex mutex_;  ///< guards all below
    std::deque<Layer> layers_;
    size_t bytes_ = 0;
    FlatMap<Address, std::vector<Version<AccountNow>>> accounts_;
    FlatMap<SlotKey, std::vector<Version<Uint256>>> slots_;
};

}  // namespace trainyard::state
